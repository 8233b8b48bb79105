"""Names of genes, and columns of obs, beside a packed matrix: tables that any tool reads."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.elements import categorical
from datamodules.packed_part import GENES, OBS, SOURCE_ROW
from datamodules.packed_records import damaged
from datamodules.source import GeneNames

_GROUP_ROWS = 2**17
"""Rows of a row group of the table: what is in memory of all columns at once when it is written."""


class PackedCells:
    """Columns of obs of a part, read one by one.

    Attributes
    ----------
    columns
        Names of the columns.
    n_rows
        Number of cells.

    Parameters
    ----------
    part
        Folder of the part.
    source_name
        Name of the source; cells are called after it and their row there.
    """

    def __init__(self, part: Path, source_name: str) -> None:
        self._file, self._source_name = pq.ParquetFile(part / OBS), source_name
        schema = self._file.schema_arrow
        if SOURCE_ROW not in schema.names or schema.field(SOURCE_ROW).type != pa.int64():
            raise damaged(f"no column {SOURCE_ROW}", f"{part.name}/{OBS}")
        self.columns = tuple(name for name in schema.names if name != SOURCE_ROW)
        self.n_rows = int(self._file.metadata.num_rows)

    def names(self, start: int, stop: int) -> list[str]:
        """Return "<source>:<row>" of cells `start` to `stop - 1`."""
        return [f"{self._source_name}:{row}" for row in self.source_rows(start, stop)]

    def source_rows(self, start: int, stop: int) -> list[int]:
        """Return the rows in the source of cells `start` to `stop - 1`."""
        groups = range(start // _GROUP_ROWS, -(-stop // _GROUP_ROWS))
        table = self._file.read_row_groups(list(groups), columns=[SOURCE_ROW])
        rows: list[int] = table[SOURCE_ROW].slice(start - groups.start * _GROUP_ROWS, stop - start).to_pylist()
        return rows

    def column(self, name: str) -> pd.Categorical:
        """Return one column as categories of text; missing values have code -1."""
        column = self._file.read(columns=[name])[name].unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # no cells
            return categorical(np.zeros(0, dtype=np.int64), [])
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return categorical(codes, column.dictionary.to_pylist())

    def close(self) -> None:
        """Close the table."""
        self._file.close()


class ObsTableWriter:
    """Writes `obs.parquet` column by column, through scratch files, in the order of a part.

    Parameters
    ----------
    folder
        Where it and its scratch files go.
    source_row
        int64 `[n_cells]`: row of the source of each row of the part.
    """

    def __init__(self, folder: Path, source_row: npt.NDArray[np.int64]) -> None:
        self._folder, self._source_row = folder, source_row
        self._columns: dict[str, pa.Array] = {}

    def add(self, name: str, values: pd.Categorical) -> None:
        """Note a column of the source, in its order."""
        values.codes.astype(np.int32)[self._source_row].tofile(self._scratch(len(self._columns)))
        self._columns[name] = pa.array(list(values.categories), pa.string())

    def finish(self) -> None:
        """Write the table and remove the scratch files."""
        kinds = [pa.field(name, pa.dictionary(pa.int32(), pa.string())) for name in self._columns]
        schema = pa.schema([*kinds, pa.field(SOURCE_ROW, pa.int64())])
        n_rows = len(self._source_row)
        with pq.ParquetWriter(self._folder / OBS, schema, compression="zstd") as writer:
            for start in range(0, n_rows, _GROUP_ROWS):
                stop = min(start + _GROUP_ROWS, n_rows)
                columns = [
                    self._slice(number, names, start, stop) for number, names in enumerate(self._columns.values())
                ]
                writer.write_table(pa.table([*columns, pa.array(self._source_row[start:stop])], schema=schema))
        for number in range(len(self._columns)):
            self._scratch(number).unlink()

    def _slice(self, number: int, names: pa.Array, start: int, stop: int) -> pa.Array:
        codes = np.fromfile(self._scratch(number), np.int32, count=stop - start, offset=4 * start)
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), names)

    def _scratch(self, number: int) -> Path:
        return self._folder / f"obs-{number}.codes"


def write_genes(folder: Path, symbols: Sequence[str], ids: Sequence[str]) -> None:
    """Write `genes.tsv`."""
    with (folder / GENES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, "excel-tab", lineterminator="\n")
        writer.writerow(["symbol", "gene_id"])
        writer.writerows(zip(symbols, ids, strict=True))


def read_genes(part: Path) -> GeneNames:
    """Read `genes.tsv`."""
    with (part / GENES).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, "excel-tab"))
    if not rows or rows[0] != ["symbol", "gene_id"] or any(len(row) != 2 for row in rows):
        raise damaged("other columns than symbol and gene_id", f"{part.name}/{GENES}")
    symbols, ids = [row[0] for row in rows[1:]], [row[1] for row in rows[1:]]
    return GeneNames(symbols, ids, [""] * len(symbols))
