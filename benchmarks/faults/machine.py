"""Machines: too little memory, no CUDA, no home, no terminal, a plain locale, nobody who reads what is printed."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.faults.injection import Happening, Injection, Script, content, predict_arguments, run
from benchmarks.faults.materials import Materials

ROW = "machine"


def carries_on(environment: Mapping[str, str], *, report: bool = False) -> Callable[[Materials, Path], Happening]:
    """Return what predicts with other environment variables; `{folder}` in them is one that cannot be made."""

    def inject(materials: Materials, folder: Path) -> Happening:
        (folder / "file").write_text("")  # nobody makes a folder in a file, not even the superuser
        changed = {name: value.format(folder=folder / "file/home") for name, value in environment.items()}
        ended = run(predict_arguments(materials, folder / "out", "--report", str(report).lower()), environment=changed)
        problems = ended.problems(0)
        problems += [] if "run.json" in content(folder / "out") else ["no results"]
        written = b"".join(content(folder / "out").values())
        return ended.happening([*problems, *(["a warning names a folder"] if str(folder).encode() in written else [])])

    return inject


def without(stream: str) -> Callable[[Materials, Path], Happening]:
    """Return what predicts with a stdout that is closed, full, or read by nobody."""

    def inject(materials: Materials, folder: Path) -> Happening:
        reader, writer = os.pipe()
        if stream == "full":
            writer = os.open("/dev/full", os.O_WRONLY)
        os.close(reader)
        try:
            with Script(
                predict_arguments(materials, folder / "out"),
                stdout=writer,
                before=(lambda: os.close(1)) if stream == "closed" else None,
            ) as script:
                ended = script.end()
        finally:
            os.close(writer)
        problems = ended.problems(5, "room") if stream == "full" else ended.problems(0)
        return ended.happening(problems + ([] if "run.json" in content(folder / "out") else ["no results"]))

    return inject


def too_little_memory(materials: Materials, folder: Path) -> Happening:
    """Predict blocks of a size for which the address space that is allowed does not suffice."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)

    arguments = predict_arguments(materials, folder / "out", "--explain.n_cells", "256", "--report", "true")
    probe = "import sys, runpy; from schema import memory; memory.available_bytes = lambda: 50 * 2**20; "
    probe += "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    with Script(["-c", probe, *arguments], before=limited) as script:
        ended = script.end()
    left = [f"{path.name} was left behind" for path in folder.iterdir()]
    return ended.happening([*ended.problems(6, "MiB free where about"), *left])


def no_cuda(materials: Materials, folder: Path) -> Happening:
    """Ask for CUDA where there is none."""
    ended = run(predict_arguments(materials, folder / "out", "--device", "cuda"))
    return ended.happening([*ended.problems(2, "CUDA"), *(path.name for path in folder.iterdir())])


INJECTIONS = [
    Injection(row=ROW, name="50 MiB of memory are left", expected="exit 6 before computing", run=too_little_memory),
    Injection(row=ROW, name="CUDA is asked for and there is none", expected="exit 2", run=no_cuda),
    Injection(
        row=ROW,
        name="HOME is read-only, and there is no cache",
        expected="the results",
        run=carries_on({"HOME": "{folder}", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""}, report=True),
    ),
    Injection(
        row=ROW,
        name="the locale is C, without UTF-8 mode",
        expected="the results",
        run=carries_on({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    ),
    Injection(row=ROW, name="there is no terminal", expected="the results", run=carries_on({"TERM": "dumb"})),
    *(
        Injection(row=ROW, name=f"stdout is {words}", expected=expected, run=without(stream))
        for stream, words, expected in (
            ("cut", "read by nobody (head -0)", "the results"),
            ("closed", "closed", "the results"),
            ("full", "on a full disk", "exit 5; the results are there"),
        )
    ),
]
