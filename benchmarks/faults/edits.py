"""Ways to spoil a good .h5ad: its bytes, its HDF5, or what AnnData writes of it anew."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import numpy.typing as npt

from benchmarks.faults.fault import Make

NAME = "bad.h5ad"


def edited(change: Callable[[h5py.File], object]) -> Make:
    """Make a copy whose HDF5 is changed in place."""

    def make(good: Path, folder: Path) -> Path:
        path = folder / NAME
        shutil.copyfile(good, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return make


def written(change: Callable[[ad.AnnData], ad.AnnData | None], **options: Any) -> Make:
    """Make a file that AnnData writes after a change of what it holds; options are those of `write_h5ad`."""

    def make(good: Path, folder: Path) -> Path:
        path, adata = folder / NAME, ad.read_h5ad(good)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is made is odd on purpose
            changed = change(adata)
            (adata if changed is None else changed).write_h5ad(path, **options)
        return path

    return make


def rewritten(change: Callable[[bytes], bytes], name: str = NAME) -> Make:
    """Make a file of other bytes."""

    def make(good: Path, folder: Path) -> Path:
        (folder / name).write_bytes(change(good.read_bytes()))
        return folder / name

    return make


def placed(make_at: Callable[[Path, Path], object], name: str = NAME) -> Make:
    """Make whatever a function of the good file and the new path puts there."""

    def make(good: Path, folder: Path) -> Path:
        make_at(good, folder / name)
        return folder / name

    return make


def replace(name: str, values: Any, **options: Any) -> Callable[[h5py.File], None]:
    """Put another dataset in the place of one, with its attributes; values may be a function of the old ones."""

    def change(file: h5py.File) -> None:
        old = file[name]
        attributes, before = dict(old.attrs), old[()] if isinstance(old, h5py.Dataset) else None
        del file[name]
        new = file.create_dataset(name, data=values(before) if callable(values) else values, **options)
        new.attrs.update(attributes)

    return change


def put(name: str, **options: Any) -> Callable[[h5py.File], None]:
    """Put a dataset of `h5py.Group.create_dataset`'s options at a place, whatever was there."""

    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, **options)

    return change


def without(*names: str) -> Callable[[h5py.File], None]:
    """Take things out."""

    def change(file: h5py.File) -> None:
        for name in names:
            del file[name]

    return change


def then(*changes: Callable[[h5py.File], object]) -> Callable[[h5py.File], None]:
    """Change one thing after the other."""

    def change(file: h5py.File) -> None:
        for each in changes:
            each(file)

    return change


def set_at(name: str, index: Any, value: Any) -> Callable[[h5py.File], None]:
    """Set one value of a dataset."""

    def change(file: h5py.File) -> None:
        file[name][index] = value

    return change


def set_attribute(name: str, attribute: str, value: Any) -> Callable[[h5py.File], None]:
    """Set an attribute; None removes it."""

    def change(file: h5py.File) -> None:
        if value is None:
            del file[name].attrs[attribute]
        else:
            file[name].attrs[attribute] = value

    return change


def cast(dtype: npt.DTypeLike) -> Callable[[Any], Any]:
    """Return a function that gives numbers another type."""
    return lambda values: np.asarray(values).astype(dtype)
