"""Bytes flipped anywhere in a file or bundle: nothing may crash, hang or come out as a traceback.

What a flip can change without any trace, it may: a byte of a count in a file that stores no checksum is another count.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import numpy as np

from benchmarks.faults.fault import Fault, answers_or
from benchmarks.faults.tenx import parts, write, write_h5

_CELLS = 12
"""Cells of a file that is flipped: few, so that most of its bytes are structure."""

Target = Callable[[Path, Path], Path]
"""Writes a good thing into a folder; returns its path."""


def _h5ad(good: Path, folder: Path) -> Path:
    ad.read_h5ad(good)[:_CELLS].copy().write_h5ad(folder / "bad.h5ad", compression="gzip")
    return folder / "bad.h5ad"


def _small(good: Path, folder: Path) -> Path:
    """Write the first cells beside, to be written in another form."""
    ad.read_h5ad(good)[:_CELLS].copy().write_h5ad(folder / "few.h5ad")
    return folder / "few.h5ad"


def _tenx_h5(good: Path, folder: Path) -> Path:
    write_h5(_small(good, folder), folder / "bad.h5")
    return folder / "bad.h5"


def _tenx_folder(good: Path, folder: Path) -> Path:
    return write(parts(_small(good, folder)), folder / "sample")


def _tenx_packed(good: Path, folder: Path) -> Path:
    return write(parts(_small(good, folder), end=".gz"), folder / "sample")


def _bundle(good: Path, folder: Path) -> Path:
    return Path(shutil.copytree(good.parent / "bundle", folder / "bundle"))


_INPUTS: dict[str, Target] = {
    "an .h5ad": _h5ad,
    "a 10x .h5": _tenx_h5,
    "a 10x folder": _tenx_folder,
    "a packed 10x folder": _tenx_packed,
}


def flip_faults(n: int, seed: int = 0) -> Iterator[Fault]:
    """Yield flips, `n` of each kind of input and of bundles, always the same for a seed."""
    for number in range(n):
        for what, target in _INPUTS.items():
            yield Fault(
                row="structure of a file",
                name=f"byte flip {number} in {what}",
                make=_flipped(target, (seed, number)),
                expected=answers_or(3),
            )
        yield Fault(
            row="bundles",
            name=f"byte flip {number} in a bundle",
            make=_flipped(_bundle, (seed, number)),
            expected=answers_or(4),
            role="bundle",
        )


def _flipped(target: Target, seed: tuple[int, int]) -> Callable[[Path, Path], Path]:
    def make(good: Path, folder: Path) -> Path:
        path, rng = target(good, folder), np.random.default_rng(seed)
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        file = files[rng.integers(len(files))]
        content = bytearray(file.read_bytes())
        content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
        file.write_bytes(bytes(content))
        return path

    return make
