"""What a packed store is on disk: folders of parts, the files of a part, and `part.json`, which describes them.

A store is a folder with one part per source file; genes, categories and layers may differ between parts. A part is a
folder of plain little-endian files. Rows are ordered by sample and shuffled within each; entries lie row by row:

==================================== ===================================================================================
`row_pointers.npy`                   int64 `[n_cells + 1]`: row `i` owns the entries `[i]` to `[i + 1] - 1`
`library_size.npy`                   float32 `[n_cells]`: UMI counts of the row
`indices.bin`, `counts.bin`          uint16 (int32 above 65,536 genes) and uint8 `[n_entries]`; 255 = see `large.bin`
`gaps.bin`, `nibbles.bin`            the same where compressed: see `datamodules.packed_codec`
`large.bin`                          counts >= 255, as records (below)
`wide_gaps.bin`, `wide_counts.bin`   where compressed: what a byte or half of one cannot hold, as records
`*_pointers.npy`                     int64 `[n_groups + 1]`: the records of each group of `GROUP_ROWS` rows
`genes.tsv`, `obs.parquet`           names of genes; columns of obs as text, and the row of the source
==================================== ===================================================================================

A record is two uint32: an entry, counted from the first of its group, and a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from schema.errors import InputError

FORMAT = 1
GROUP_ROWS = 64
"""Rows whose records are found together."""

RECORD = np.dtype([("entry", "<u4"), ("value", "<u4")])

PART, STORE = "part.json", "store.json"
GENES, OBS, POINTERS, LIBRARY = "genes.tsv", "obs.parquet", "row_pointers.npy", "library_size.npy"
SOURCE_ROW = "source_row"
"""Column of `obs.parquet`: row of the cell in the source, int64."""

Part = TypeVar("Part", bound="PartInfo")


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """The file a part was prepared from, as it was then.

    Attributes
    ----------
    name, kind
        As of `datamodules.store.CellStore`.
    path
        From the folder of the part; no absolute path is ever written.
    n_bytes, mtime_ns
        Size and time of last change (of the newest file of a folder).
    counts_location, sha256
        Where the counts stand, and the hash of `CellStore.fingerprint`.
    """

    name: str
    kind: str
    path: str
    n_bytes: int
    mtime_ns: int
    counts_location: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PartInfo:
    """What `part.json` says.

    Attributes
    ----------
    n_cells, n_genes, n_entries
        Sizes.
    compressed, seed, sample_column
        How it was prepared.
    source
        From what.
    files
        Bytes and SHA-256 of every other file.
    program
        Versions that wrote it.
    """

    n_cells: int
    n_genes: int
    n_entries: int
    compressed: bool
    seed: int
    sample_column: str | None
    source: SourceInfo
    files: Mapping[str, tuple[int, str]]
    program: Mapping[str, str]

    def to_json(self) -> str:
        """Return the text of `part.json`."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def load(cls: type[Part], part: Path) -> Part:
        """Read `part.json`.

        Raises
        ------
        InputError
            If it is damaged, or of another format.
        """
        where = f"{part.name}/{PART}"
        try:
            stored = json.loads((part / PART).read_text(encoding="utf-8"))
            if stored.pop("format") != FORMAT:
                raise _unfit("a store of another format", where)
            source = SourceInfo(**stored.pop("source"))
            files = {str(name): (int(size), str(sha256)) for name, (size, sha256) in stored.pop("files").items()}
            info = cls(**stored, source=source, files=files)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unfit(f"{type(error).__name__} ({str(error)[:100]})", where) from error
        wrong = [name for name in ("n_cells", "n_genes", "n_entries") if not _is_size(getattr(info, name))]
        if wrong or any(Path(name).name != name for name in info.files):
            raise _unfit(f"{', '.join(wrong) or 'files'} that cannot be", where)
        return info


def is_part(folder: Path) -> bool:
    """Return whether a folder is a part of a packed store."""
    return (folder / PART).is_file()


def parts_of(folder: Path) -> list[Path]:
    """Return the parts of a store, or the one that the folder is; none where it is neither.

    Raises
    ------
    InputError
        If the store is half made.
    """
    if is_part(folder):
        return [folder]
    if not (folder / STORE).is_file():
        return []
    try:
        n_parts = len(json.loads((folder / STORE).read_text(encoding="utf-8"))["sources"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _unfit(type(error).__name__, f"{folder.name}/{STORE}") from error
    parts = [folder / part_name(number) for number in range(n_parts)]
    missing = [part.name for part in parts if not is_part(part)]
    if missing:
        raise InputError(
            "a store must have all its parts",
            got=f"{len(missing)} of {n_parts} missing ({missing[0]})",
            where=folder.name,
            fix="Run the same prepare command again; it goes on where it stopped.",
        )
    return parts


def part_name(number: int) -> str:
    """Return the name of the folder of a part."""
    return f"part-{number:03d}"


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _unfit(got: str, where: str) -> InputError:
    return InputError(f"a store must be of format {FORMAT}", got=got, where=where, fix="Prepare it again.")
