"""An earlier run as its run.json tells it: its options for a run that repeats it, and whether all else is the same."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from schema.errors import InputError, UsageError

logger = logging.getLogger(__name__)

Config = TypeVar("Config")

FIX = "Repeat it with what it was run with, or leave --repeat out."


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """What a run.json says.

    Attributes
    ----------
    name
        Name of the file.
    options
        Options by name, nested as the config is; of paths, the names of the files alone.
    bundle_digest, input
        Of the bundle, and the fingerprint of the input.
    device, threads
        What computed, and with how many threads.
    program
        Versions of the program and its libraries.
    """

    name: str
    options: Mapping[str, Any]
    bundle_digest: str
    input: Mapping[str, Any]
    device: str
    threads: int
    program: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> EarlierRun:
        """Read a run.json.

        Raises
        ------
        InputError
            If it is none, or one of a version that did not write all of this.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "name"]
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(name=path.name, **{name: content[name] for name in names})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                "a run is repeated from its run.json",
                got=type(error).__name__,
                where=path.name,
                fix="Give the run.json that predict.py wrote.",
            ) from error

    def config(self, given: Config, own: Sequence[str]) -> Config:
        """Return a config with the options of the run, but for those named in `own`.

        Parameters
        ----------
        given
            Config of now.
        own
            Fields that hold paths or say where results go.

        Raises
        ------
        UsageError
            If another option is given too and differs.
        """
        repeated = _with_options(given, self.options, own)
        default = {f.name: f.default_factory() if callable(f.default_factory) else f.default for f in _fields(given)}
        for field in _fields(given):
            now, then = getattr(given, field.name), getattr(repeated, field.name)
            if field.name not in own and now not in (then, default[field.name]):
                raise UsageError(
                    "a run that is repeated takes the options that it had",
                    got=f"another {field.name}",
                    where="the command line",
                    fix="Leave it out, or leave --repeat out.",
                )
        return repeated

    def check(self, bundle_digest: str, fingerprint: Mapping[str, Any], program: Mapping[str, str]) -> None:
        """Refuse another bundle or input than the run had; warn of another program.

        Raises
        ------
        InputError
            If one of them differs.
        """
        there = {"bundle": (self.bundle_digest, bundle_digest), "input": (dict(self.input), dict(fingerprint))}
        for name, (then, now) in there.items():
            if then != now:
                raise InputError(
                    "a run is repeated with the same input and bundle",
                    got=f"another {name}",
                    where=self.name,
                    fix=FIX,
                )
        if changed := sorted(name for name in program if program[name] != self.program.get(name)):
            logger.warning("Other versions than in %s: %s; results may differ", self.name, ", ".join(changed))


def _fields(config: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(config)


def _with_options(given: Config, options: Mapping[str, Any], own: Sequence[str]) -> Config:
    changes: dict[str, Any] = {}
    for field in _fields(given):
        if field.name in own:
            continue
        if field.name not in options:
            raise InputError(
                "a run is repeated by the version that it was made with",
                got=f"no option {field.name}",
                where="run.json",
                fix="Use that version.",
            )
        value = getattr(given, field.name)
        nested = dataclasses.is_dataclass(value)
        changes[field.name] = _with_options(value, options[field.name], ()) if nested else options[field.name]
    return dataclasses.replace(given, **changes)  # type: ignore[type-var]
