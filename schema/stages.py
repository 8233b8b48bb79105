"""Stage scales: the ordered levels a sample can have, and how a user's value becomes one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from schema.errors import InputError, UsageError
from schema.labels import UNLABELLED
from schema.names import nearest_names, normalise_name

SCALES_FILE = Path(__file__).with_name("stage_scales.yaml")
_NOT_KNOWN = frozenset({"", "nan", "na", "n/a", "none", "unknown", "null"})


@dataclass(frozen=True, kw_only=True)
class StageLevel:
    """One level of a scale: id, the name people read, and other names that mean it."""

    id: str
    name: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageScale:
    """Ordered levels of a sample, lowest first; the code of a level is its position."""

    id: str
    name: str
    species: str
    levels: tuple[StageLevel, ...]

    def __post_init__(self) -> None:
        """Refuse a scale of which two levels answer to one name."""
        for code, level in enumerate(self.levels):
            for name in (level.id, level.name, *level.synonyms):
                if self.code_by_name[normalise_name(name)] != code:
                    raise ValueError(f"Expected {name!r} to mean one level of {self.id} but got two.")

    @cached_property
    def code_by_name(self) -> dict[str, int]:
        """Normalised id, name or synonym to code."""
        return {
            normalise_name(name): code
            for code, level in enumerate(self.levels)
            for name in (level.id, level.name, *level.synonyms)
        }

    def code(self, value: object, where: str) -> int:
        """Return the code of a stage value; UNLABELLED where it says "not known".

        Raises
        ------
        InputError
            If the value names no level of this scale.
        """
        form = normalise_name(value)
        if form in _NOT_KNOWN:
            return UNLABELLED
        if form not in self.code_by_name:
            near = nearest_names(value, self.code_by_name)
            raise InputError(
                f"every stage must be a level of the scale {self.id}",
                got=f"{value!r}" + (f" (nearest: {', '.join(near)})" if near else ""),
                where=where,
                fix=f"Use one of {', '.join(level.name for level in self.levels)}, or choose another data.stage_scale.",
            )
        return self.code_by_name[form]

    def to_dict(self) -> dict[str, Any]:
        """Return the scale as plain lists and strings, as `from_dict` reads it."""
        levels = [{"id": v.id, "name": v.name, "synonyms": list(v.synonyms)} for v in self.levels]
        return {"id": self.id, "name": self.name, "species": self.species, "levels": levels}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StageScale:
        """Build a scale from plain lists and strings."""
        levels = tuple(StageLevel(id=v["id"], name=v["name"], synonyms=tuple(v["synonyms"])) for v in content["levels"])
        return cls(content["id"], content["name"], content["species"], levels)

    @classmethod
    def load(cls, scale_id: str) -> StageScale:
        """Return one of the project's scales by id.

        Raises
        ------
        UsageError
            If there is no such scale.
        """
        scales = {s["id"]: s for s in yaml.safe_load(SCALES_FILE.read_text())["scales"]}
        if scale_id not in scales:
            raise UsageError(
                "a stage scale must be a known one",
                got=repr(scale_id),
                where="data.stage_scale",
                fix=f"Use one of {', '.join(scales)}.",
            )
        return cls.from_dict(scales[scale_id])
