"""Outputs: a full disk, kill -9 at any moment, two writers, places that cannot be written."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.faults.injection import Happening, Injection, Script, content, predict_arguments, run
from benchmarks.faults.materials import Materials
from benchmarks.faults.trial import Trials

ROW = "outputs"
N_KILLS = 50
"""Random moments at which a prediction is killed."""

_SEED = 0


def full_disk(share: float) -> Callable[[Materials, Path], Happening]:
    """Return what lets no file grow beyond a share of the input while a prediction replaces another.

    A limit of the process takes the place of a small disk: it needs no rights, and strikes at a chosen byte.
    """

    def inject(materials: Materials, folder: Path) -> Happening:
        output = folder / "out"
        run(predict_arguments(materials, output))
        before = content(output)

        limit = int(share * materials.good.stat().st_size)

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        with Script(predict_arguments(materials, output, "--overwrite", "true"), before=limited) as script:
            ended = script.end()
        problems = ended.problems(5, "the disk must have room")
        return ended.happening([*problems, *_changes(before, output), *_leftovers(folder)])

    return inject


def small_disk(materials: Materials, folder: Path) -> Happening:
    """Predict onto a file system of 1 MiB; needs the right to mount one."""
    disk = folder / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True)  # noqa: S607
    if mount.returncode:
        return Happening(None, "", ["no right to mount a small disk: not tried"])
    try:
        ended = run(predict_arguments(materials, disk / "out"))
        left = list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)  # noqa: S607
    return ended.happening([*ended.problems(5, "MiB free where about"), *(f"{path.name} left" for path in left)])


def kills(n_kills: int) -> Callable[[Materials, Path], Happening]:
    """Return what kills predictions that replace others at random moments, and looks at what is left."""

    def inject(materials: Materials, folder: Path) -> Happening:
        output, streams, trials = folder / "out", folder / "streams", Trials()
        streams.mkdir()
        sets, seconds = [], 0.0
        for seed in (1, 0):
            done = trials.run(_replacing(materials, output, seed), streams)
            sets.append(_tables(output))
            seconds = done.seconds
        problems = ["two seeds gave the same tables"] if sets[0] == sets[1] else []
        finished = 0
        for number, moment in enumerate(np.random.default_rng(_SEED).uniform(0.05, 1.05, n_kills).tolist()):
            process = trials.start(_replacing(materials, output, number % 2), streams)
            process.join(moment * seconds)
            finished += process.exitcode is not None
            process.kill()
            process.join()
            problems += [] if _tables(output) in sets else [f"a mixture after {moment * seconds:.2f} s"]
        done = trials.run(_replacing(materials, output, 0), streams)
        problems += [*done.faults(output), *(["not one was killed"] if finished == n_kills else [])]
        left = [f"{path.name} was left behind" for path in folder.iterdir() if path not in (output, streams)]
        return Happening(done.code, f"{n_kills - finished} killed, {finished} had ended", [*problems, *left])

    return inject


def _replacing(materials: Materials, output: Path, seed: int) -> list[str]:
    _, *arguments = predict_arguments(materials, output, "--overwrite", "true", "--burden.seed", str(seed))
    return arguments


def _tables(output: Path) -> dict[str, bytes]:
    """Return the tables of a prediction by name, and where the annotated file is, nothing of it: it says no seed."""
    return {name: b"" if name.endswith(".h5ad") else text for name, text in content(output).items()}


def two_writers(materials: Materials, folder: Path) -> Happening:
    """Begin two predictions into one folder at once."""
    output = folder / "out"
    with Script(predict_arguments(materials, output)) as one, Script(predict_arguments(materials, output)) as other:
        ended = sorted([one.end(), other.end()], key=lambda each: each.code or 0)
    problems = [*ended[0].problems(0), *ended[1].problems(5)]
    problems += [] if "run.json" in content(output) else ["no results"]
    return ended[1].happening([*problems, *_leftovers(folder)])


def refused(
    make: Callable[[Materials, Path], Path], *words: str, overwrite: bool = True
) -> Callable[[Materials, Path], Happening]:
    """Return what gives a prediction an output folder that it must not write to.

    Parameters
    ----------
    make
        Makes the folder, or what is in its place, and returns its path.
    words
        What the error must hold.
    overwrite
        Whether results may be replaced.
    """

    def inject(materials: Materials, folder: Path) -> Happening:
        output = make(materials, folder)
        before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
        good = materials.good.read_bytes()
        ended = run(predict_arguments(materials, output, "--overwrite", str(overwrite).lower()))
        problems = ended.problems(5, *words)
        problems += [] if materials.good.read_bytes() == good else ["the input was changed"]
        after = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
        return ended.happening([*problems, *(["something was written"] if after != before else [])])

    return inject


def sigterm(materials: Materials, folder: Path) -> Happening:
    """Ask a prediction to end while it writes."""
    output = folder / "out"
    with Script(predict_arguments(materials, output)) as script:
        script.wait_for(folder / ".out.neutrostage-draft/annotated.h5ad")
        script.send(signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1)
        ended = script.end()
    return ended.happening([*ended.problems(143, "stopped by"), *(path.name for path in folder.iterdir())])


def _file(_: Materials, folder: Path) -> Path:
    (folder / "out").write_text("x")
    return folder / "out"


def _below_file(_: Materials, folder: Path) -> Path:
    return _file(_, folder) / "deep"


def _dangling(_: Materials, folder: Path) -> Path:
    (folder / "out").symlink_to(folder / "nowhere")
    return folder / "out"


def _read_only(_: Materials, folder: Path) -> Path:
    (folder / "out").mkdir(mode=0o555)
    return folder / "out"


def _read_only_parent(_: Materials, folder: Path) -> Path:
    (folder / "closed").mkdir(mode=0o555)
    return folder / "closed/out"


def _earlier(_: Materials, folder: Path) -> Path:
    (folder / "out").mkdir()
    (folder / "out/samples.csv").write_text("sample_id\n")
    return folder / "out"


def _changes(before: dict[str, bytes], output: Path) -> list[str]:
    return [] if content(output) == before else ["the earlier results were changed"]


def _leftovers(folder: Path) -> list[str]:
    return [f"{path.name} was left behind" for path in folder.iterdir() if path.name not in ("out", "disk")]


INJECTIONS = [
    *(
        Injection(
            row=ROW,
            name=f"no file may grow beyond {share:.3g} of the input while results are replaced",
            expected="exit 5, earlier results as they were",
            run=full_disk(share),
        )
        for share in (0.001, 0.5, 1.001, 1.02)
    ),
    Injection(row=ROW, name="a disk of 1 MiB", expected="exit 5 before computing", run=small_disk),
    Injection(
        row=ROW,
        name=f"kill -9 at {N_KILLS} random moments while results are replaced",
        expected="old results whole or new ones whole; nothing piles up",
        run=kills(N_KILLS),
    ),
    Injection(row=ROW, name="two writers at once", expected="one wins, the other exit 5", run=two_writers),
    Injection(row=ROW, name="SIGTERM, twice, and SIGUSR1", expected="exit 143, nothing is left", run=sigterm),
    *(
        Injection(row=ROW, name=name, expected="exit 5, nothing is written", run=refused(make, words))
        for name, make, words in (
            ("the output is a file", _file, "Not a directory"),
            ("a file stands among its parents", _below_file, "Not a directory"),
            ("the output is a link to nowhere", _dangling, "must be writable"),
            ("the output folder is read-only", _read_only, "must be writable"),
            ("its parent is read-only", _read_only_parent, "must be writable"),
            (
                "the output is the folder of the input",
                lambda materials, _: materials.good.parent,
                "folder of their own",
            ),
            ("the output is the input", lambda materials, _: materials.good, "folder of their own"),
            ("the output is inside the bundle", lambda materials, _: materials.bundle / "out", "folder of their own"),
        )
    ),
    Injection(
        row=ROW,
        name="earlier results, and nobody asked to replace them",
        expected="exit 5, nothing is written",
        run=refused(_earlier, "not replaced unasked", overwrite=False),
    ),
]
