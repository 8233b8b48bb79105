"""The shell of a command: one line on stderr and the right exit code for whatever ends it."""

from __future__ import annotations

import ctypes
import dataclasses
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jsonargparse

from schema.bugs import DEBUG, as_our_error
from schema.errors import EXIT_DONE, EXIT_INTERRUPTED, UsageError
from schema.library_warnings import quiet_libraries
from schema.secrets import redacted
from schema.signals import STOP, Stopped
from schema.streams import say, speak_utf8

Config = TypeVar("Config")

_M_MMAP_THRESHOLD = -3
"""glibc's number for the size from which memory is mapped for itself."""


def run_command(name: str, main: Callable[[], None]) -> int:
    """Run a command and return its exit code; whatever ends it becomes one line on stderr.

    With --debug on the command line, the trace of an error stands above its line, and warnings of libraries are shown.

    Parameters
    ----------
    name
        Program name, as the line begins.
    main
        The command.
    """
    speak_utf8()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells where its fonts are kept
    return_large_memory()
    debug = DEBUG in sys.argv[1:]
    try:
        with STOP.heard(), quiet_libraries(shown=debug):
            main()
    except Stopped as stop:
        say(f"{name}: {stop}")
        return stop.exit_code
    except KeyboardInterrupt:
        say(f"{name}: interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where whatever it is becomes a line and a code
        if debug:
            say("".join(traceback.format_exception(error)).rstrip())
        ours = as_our_error(error)
        say(f"{name}: error: {ours}")
        return ours.exit_code
    return EXIT_DONE


def return_large_memory() -> bool:
    """Let the C library give arrays of a megabyte and more back to the system when they are freed; return if it will.

    Left to itself, glibc keeps ever larger ones and lets them fall to pieces: a training of 1,000,000 cells then peaks
    a quarter higher, and higher the longer it runs (docs/log.md). Elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    return hasattr(library, "mallopt") and library.mallopt(_M_MMAP_THRESHOLD, 2**20) == 1


def parse_config(
    config_class: type[Config], arguments: Sequence[str] | None = None, positional: str | None = None
) -> Config:
    """Turn the command line into a config: a dataclass whose fields are flags and whose docstrings are the help.

    Parameters
    ----------
    config_class
        Frozen dataclass with a docstring under each field.
    arguments
        Command line without the program's name; None = that of this process.
    positional
        Field given without a flag: a path, or a tuple of paths where its metadata say `several`.

    Raises
    ------
    UsageError
        If an option is unknown, missing or of the wrong kind.
    """
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(exit_on_error=False, description=inspect.getdoc(config_class))
    parser.add_argument("--config", action="config", help="YAML with any of these options; later ones win")
    parser.add_argument(DEBUG, action="store_true", help="show where an error came from, and warnings of libraries")
    skip: set[str | int] = set()
    if positional:
        fields = {f.name: f for f in dataclasses.fields(config_class)}  # type: ignore[arg-type]
        metadata = fields[positional].metadata
        several = "+" if metadata.get("several") else None
        parser.add_argument(positional, type=Path, help=metadata["help"], nargs=several)
        skip = {positional}
    parser.add_class_arguments(config_class, skip=skip, as_group=False)
    try:
        options = parser.instantiate(parser.parse_args(arguments))
    except jsonargparse.ArgumentError as error:
        raise UsageError(
            "options must be known and of the right kind",
            got=" ".join(str(error).split()).rstrip("."),
            where="the command line or config",
            fix="See --help.",
        ) from error
    values = {k: v for k, v in vars(options).items() if k not in ("config", DEBUG.strip("-"))}
    if positional and isinstance(values[positional], list):
        values[positional] = tuple(values[positional])
    return config_class(**values)


def plain_options(config: Any, *, keep_paths: bool = False) -> Any:
    """Return a config as plain mappings, lists and texts; folders are left out of paths unless they are to be kept."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {
            f.name: plain_options(getattr(config, f.name), keep_paths=keep_paths) for f in dataclasses.fields(config)
        }
    if isinstance(config, tuple):
        return [plain_options(value, keep_paths=keep_paths) for value in config]
    if isinstance(config, str | Path):
        text = redacted(str(config))
        return Path(text).name if "/" in text and not keep_paths else text
    return config


def flat_options(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested options as one table of texts: "data.batch_size" to "512"."""
    rows: dict[str, str] = {}
    for name, value in content.items():
        rows |= flat_options(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: str(value)}
    return rows


class WarningCollector(logging.Handler):
    """Keeps each distinct warning once, with how often it came."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.counts: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Count a warning."""
        text = record.getMessage()
        self.counts[text] = self.counts.get(text, 0) + 1

    def lines(self) -> list[str]:
        """Return the warnings in the order of their first coming, with "(n times)" where they came again."""
        return [text if n == 1 else f"{text} ({n} times)" for text, n in self.counts.items()]


@contextmanager
def collected_warnings() -> Iterator[WarningCollector]:
    """Collect the warnings that are logged inside the block, by any logger."""
    collector = WarningCollector()
    logging.getLogger().addHandler(collector)
    try:
        yield collector
    finally:
        logging.getLogger().removeHandler(collector)
