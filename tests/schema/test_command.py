import ctypes
import dataclasses
import logging
import os
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from schema.command import collected_warnings, parse_config, plain_options, return_large_memory, run_command
from schema.errors import InputError, UsageError


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Inner options."""

    size: int = 3
    """Cells."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a test."""

    source: Path = dataclasses.field(metadata={"help": "a file"})
    """A file."""
    inner: Inner = dataclasses.field(default_factory=Inner)
    """Inner."""
    names: tuple[str, ...] = ()
    """Names."""


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("counts are whole", got="0.5", where="a.h5ad, X", fix="Give raw counts."), 3, "a.h5ad, X"),
        (MemoryError(), 6, "enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_ends_a_command_is_one_line_and_a_code(capsys, error, code, text):
    assert run_command("tool", raising(error)) == code
    written = capsys.readouterr().err.splitlines()
    assert len(written) == 1
    assert written[0].startswith("tool: ")
    assert text in written[0]


def test_a_command_that_ends_well_returns_zero():
    assert run_command("tool", lambda: None) == 0


def test_an_error_nobody_foresaw_is_one_line_that_says_where(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tool"])
    assert run_command("tool", raising(ZeroDivisionError("by\n'/somewhere/zero'"))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "tool: error: this is a bug of the program: got ZeroDivisionError (by 'zero') in tests/schema/"
    )
    assert "test_command.py, line" in line
    assert "--debug" in line


def test_the_trace_stands_above_the_line_where_it_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tool", "--debug"])
    for error, code in ((ZeroDivisionError(), 1), (InputError("a", got="b", where="c", fix="d"), 3)):
        assert run_command("tool", raising(error)) == code
        written = capsys.readouterr().err
        assert written.startswith("Traceback (most recent call last)")
        assert written.splitlines()[-1].startswith("tool: error: ")


def test_memory_that_a_library_did_not_get_is_said_so(capsys):
    text = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
    assert run_command("tool", raising(RuntimeError(text))) == 6
    assert "enough memory" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_warnings_of_libraries_are_counted_and_not_shown(capsys, monkeypatch):
    caught = []

    def main():
        with collected_warnings() as collector:
            for _ in range(3):
                warnings.warn("an old\nway", UserWarning, stacklevel=1)
            logging.getLogger("x").warning("ours")
            caught.extend(collector.lines())

    monkeypatch.setattr(sys, "argv", ["tool"])
    with fresh_logging():
        assert run_command("tool", main) == 0
        assert caught == ["UserWarning: an old way", "ours"]  # Python itself warns once of a place
        assert capsys.readouterr().err == "ours\n"
    monkeypatch.setattr(sys, "argv", ["tool", "--debug"])
    with fresh_logging():
        run_command("tool", main)
        assert "UserWarning: an old way\n" in capsys.readouterr().err
    assert warnings.showwarning.__module__ != "schema.library_warnings"


@contextmanager
def fresh_logging():
    """Let a command set up logging as in a process of its own."""
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers.clear()
    yield
    root.handlers[:] = before


def test_debug_is_an_option_and_no_field():
    options = parse_config(Options, ["in.h5ad", "--debug"], positional="source")
    assert options == Options(source=Path("in.h5ad"))


def test_options_come_from_flags_and_a_positional(tmp_path):
    (tmp_path / "more.yaml").write_text("inner: {size: 5}\nnames: [a, b]\n")
    options = parse_config(Options, ["in.h5ad", "--config", str(tmp_path / "more.yaml")], positional="source")
    assert options == Options(source=Path("in.h5ad"), inner=Inner(size=5), names=("a", "b"))
    with pytest.raises(UsageError, match="size"):
        parse_config(Options, ["in.h5ad", "--inner.size", "x"], positional="source")


def test_plain_options_leave_folders_out_unless_kept():
    options = Options(source=Path("/data/secret/in.h5ad"), names=("/data/x.h5ad", "b"))
    assert plain_options(options) == {"source": "in.h5ad", "inner": {"size": 3}, "names": ["x.h5ad", "b"]}
    assert plain_options(options, keep_paths=True)["source"] == "/data/secret/in.h5ad"


def test_warnings_are_counted_once_each():
    with collected_warnings() as collector:
        for text in ("a", "b", "a"):
            logging.getLogger("x").warning(text)
        logging.getLogger("x").info("c")
    logging.getLogger("x").warning("after")
    assert collector.lines() == ["a (2 times)", "b"]


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")
def test_freed_arrays_go_back_to_the_system():
    def resident_mib():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    assert return_large_memory()
    before = resident_mib()
    blocks = [bytearray(b"x") * 2**21 for _ in range(100)]
    pins = [bytearray(b"x") * 2**15 for _ in range(3)]
    assert resident_mib() > before + 150
    del blocks
    assert resident_mib() < before + 20
    assert len(pins) == 3
