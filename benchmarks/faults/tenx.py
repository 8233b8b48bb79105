"""10x output, as folders and as .h5: other versions, missing and cut parts, heads that lie, bombs."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import scipy.sparse as sp

from benchmarks.faults.edits import cast, replace, set_at, then, without
from benchmarks.faults.fault import Expected, Fault, Make, refused, same

Files = dict[str, bytes]
"""Names in a 10x folder to contents; those that end in .gz are packed when written."""

_BOMB_MIB = 256
"""MiB of text that is packed a thousandfold."""

_BANNER = "%%MatrixMarket matrix coordinate integer general\n%metadata_json: {}\n"


def _fault(name: str, make: Make, expected: Expected) -> Fault:
    return Fault(row="10x folders and .h5", name=name, make=make, expected=expected)


def parts(good: Path, *, features: str = "features.tsv", end: str = "") -> Files:
    """Return the good file as the files of a 10x folder."""
    adata = ad.read_h5ad(good)
    entries = adata.X.tocoo()
    lines = [f"{g + 1} {c + 1} {int(v)}" for c, g, v in zip(entries.row, entries.col, entries.data, strict=True)]
    head = f"{_BANNER}{adata.n_vars} {adata.n_obs} {len(lines)}\n"
    names = zip(adata.var["gene_id"], adata.var_names, strict=True)
    kind = "" if features == "genes.tsv" else "\tGene Expression"
    return {
        f"matrix.mtx{end}": (head + "\n".join(lines) + "\n").encode(),
        f"{features}{end}": "".join(f"{gene}\t{symbol}{kind}\n" for gene, symbol in names).encode(),
        f"barcodes.tsv{end}": "".join(f"{name}\n" for name in adata.obs_names).encode(),
    }


def write(files: Files, folder: Path) -> Path:
    """Write the files of a folder."""
    folder.mkdir()
    for name, content in files.items():
        packed = gzip.compress(content, 1) if name.endswith(".gz") else content
        (folder / name).write_bytes(packed)
    return folder


def _folder(change: Callable[[Files], Files | None] = lambda files: files, **form: Any) -> Make:
    def make(good: Path, folder: Path) -> Path:
        files = parts(good, **form)
        return write(change(files) or files, folder / "sample")

    return make


def _on_disk(change: Callable[[Path], object], **form: Any) -> Make:
    """Spoil a 10x folder that is written already."""

    def make(good: Path, folder: Path) -> Path:
        made = write(parts(good, **form), folder / "sample")
        change(made)
        return made

    return make


def _without(name: str) -> Callable[[Files], Files]:
    return lambda files: {key: value for key, value in files.items() if not key.startswith(name)}


def _line(number: int, text: bytes) -> Callable[[Files], Files]:
    """Replace a line of matrix.mtx."""

    def change(files: Files) -> Files:
        lines = files["matrix.mtx"].split(b"\n")
        lines[number] = text
        return files | {"matrix.mtx": b"\n".join(lines)}

    return change


def _swap(name: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    return lambda files: files | {name: files[name].replace(old, new, 1)}


def _zero_based(files: Files) -> Files:
    body = files["matrix.mtx"].split(b"\n")
    moved = [b" ".join([b"%d" % (int(g) - 1), b"%d" % (int(c) - 1), v]) for g, c, v in map(bytes.split, body[3:-1])]
    return files | {"matrix.mtx": b"\n".join([*body[:3], *moved, b""])}


def _cut(name: str, share: float) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return change


def _bomb(folder: Path) -> None:
    """Pack barcodes of one endless line."""
    with gzip.open(folder / "barcodes.tsv.gz", "wb") as file:
        for _ in range(_BOMB_MIB):
            file.write(b"A" * 2**20)


def _matrix_bomb(folder: Path) -> None:
    """Put an endless comment before the size line."""
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        file.write(_BANNER.encode() + b"%")
        for _ in range(_BOMB_MIB):
            file.write(b"A" * 2**20)


def _line_bomb(folder: Path) -> None:
    """Put endless digits on the size line."""
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        file.write(_BANNER.encode())
        for _ in range(_BOMB_MIB):
            file.write(b"1" * 2**20)


def _instead(name: str, put: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return change


def _to_folder(path: Path) -> None:
    path.mkdir()


def _latin(files: Files) -> Files:
    return files | {"barcodes.tsv": files["barcodes.tsv"].replace(b"S1", b"caf\xe9")}


def write_h5(good: Path, path: Path, *, version: int = 3) -> None:
    """Write the good file as a 10x .h5 of Cell Ranger 2 or 3."""
    adata = ad.read_h5ad(good)
    matrix = sp.csr_matrix(adata.X)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "mm10")
        group["barcodes"] = np.array(adata.obs_names, dtype="S")
        group["data"], group["indices"] = matrix.data.astype(np.int32), matrix.indices.astype(np.int64)
        group["indptr"], group["shape"] = matrix.indptr.astype(np.int64), np.array(matrix.shape[::-1], dtype=np.int32)
        symbols, ids = np.array(adata.var_names, dtype="S"), np.array(adata.var["gene_id"], dtype="S")
        if version == 2:
            group["genes"], group["gene_names"] = ids, symbols
            return
        features = {"id": ids, "name": symbols}
        features["feature_type"] = np.full(adata.n_vars, b"Gene Expression")
        features["genome"] = np.full(adata.n_vars, b"mm10")
        for name, values in features.items():
            group[f"features/{name}"] = values


def _h5(*changes: Callable[[h5py.File], object], version: int = 3) -> Make:
    def make(good: Path, folder: Path) -> Path:
        write_h5(good, folder / "sample.h5", version=version)
        with h5py.File(folder / "sample.h5", "r+") as file:
            then(*changes)(file)
        return folder / "sample.h5"

    return make


def _cut_h5(good: Path, folder: Path) -> Path:
    write_h5(good, folder / "sample.h5")
    _cut("sample.h5", 0.7)(folder)
    return folder / "sample.h5"


def _fractions(files: Files) -> Files:
    return _line(9, b"3 1 0.5")(_swap("matrix.mtx", b"integer", b"real")(files))


def _second_genome(file: h5py.File) -> None:
    file.copy("mm10", "GRCh38")


_PART = "sample"
_MTX = "MatrixMarket"

FAULTS = [
    _fault("v3", _folder(end=".gz"), same()),
    _fault("v2", _folder(features="genes.tsv"), same()),
    _fault("line ends of Windows", _folder(lambda f: {k: v.replace(b"\n", b"\r\n") for k, v in f.items()}), same()),
    _fault("no last line end", _folder(lambda f: {k: v.rstrip(b"\n") for k, v in f.items()}), same()),
    _fault("a prefix", _folder(lambda f: {f"GSM1_{k}": v for k, v in f.items()}), same()),
    _fault("barcodes in latin-1", _folder(_latin), same()),
    _fault(
        "tabs in the matrix",
        _folder(
            lambda f: (
                f
                | {
                    "matrix.mtx": f["matrix.mtx"].split(b"{}\n")[0]
                    + b"{}\n"
                    + f["matrix.mtx"].split(b"{}\n")[1].replace(b" ", b"\t")
                }
            )
        ),
        same(),
    ),
    _fault("blank lines in the matrix", _folder(_swap("matrix.mtx", b"{}\n", b"{}\n\n\n")), same()),
    *(
        _fault(f"no {name}", _folder(_without(name)), refused(name, _PART))
        for name in ("matrix.mtx", "features.tsv", "barcodes.tsv")
    ),
    _fault("an empty matrix.mtx", _folder(lambda f: f | {"matrix.mtx": b""}), refused(_MTX)),
    _fault("an empty features.tsv", _folder(lambda f: f | {"features.tsv": b""}), refused("0 lines in features.tsv")),
    _fault(
        "a head that declares more entries",
        _folder(_swap("matrix.mtx", b"700 120 ", b"700 120 9")),
        refused("declares"),
    ),
    _fault("a head of billions of entries", _folder(_line(2, b"700 120 999999999999")), refused("declares")),
    _fault("a head of billions of cells", _folder(_line(2, b"700 99999999999 40000")), refused("99,999,999,999 cells")),
    _fault("a head of fewer genes", _folder(_swap("matrix.mtx", b"700 120", b"699 120")), refused("features")),
    _fault("a head turned round", _folder(_swap("matrix.mtx", b"700 120", b"120 700")), refused("lines in")),
    _fault("a negative head", _folder(_swap("matrix.mtx", b"700 120", b"700 -120")), refused("size line")),
    _fault("entries counted from 0", _folder(_zero_based), refused("index -1")),
    _fault("a real matrix with whole numbers", _folder(_swap("matrix.mtx", b"integer", b"real")), same()),
    _fault("fractions", _folder(_fractions), refused("0.5")),
    _fault("NaN in the matrix", _folder(_line(9, b"3 1 nan")), refused("nan")),
    _fault("a negative count", _folder(_line(9, b"3 1 -4")), refused("-4")),
    _fault("a line of words", _folder(_line(9, b"three one four")), refused("three numbers")),
    _fault("a line of two numbers", _folder(_line(9, b"3 1")), refused(_PART)),
    _fault("a line of four numbers", _folder(_line(9, b"3 1 4 1")), refused("three numbers")),
    _fault("a gene out of range", _folder(_line(9, b"701 1 4")), refused("index 700")),
    _fault("a cell out of range", _folder(_line(9, b"1 121 4")), refused("index 120")),
    _fault("an index beyond int64", _folder(_line(9, b"99999999999999999999 1 4")), refused("three numbers")),
    _fault("quotes in the matrix", _folder(_line(9, b'"3 1 4')), refused("matrix.mtx")),
    _fault("a symmetric matrix", _folder(_swap("matrix.mtx", b"general", b"symmetric")), refused(_MTX, "symmetric")),
    _fault("a pattern matrix", _folder(_swap("matrix.mtx", b"integer", b"pattern")), refused(_MTX, "pattern")),
    _fault("a complex matrix", _folder(_swap("matrix.mtx", b"integer", b"complex")), refused(_MTX, "complex")),
    _fault("a dense matrix", _folder(_swap("matrix.mtx", b"coordinate", b"array")), refused(_MTX, "array")),
    _fault(
        "one barcode too few",
        _folder(lambda f: f | {"barcodes.tsv": f["barcodes.tsv"].split(b"\n", 1)[1]}),
        refused("119 lines in barcodes.tsv"),
    ),
    _fault(
        "one gene too few",
        _folder(lambda f: f | {"features.tsv": f["features.tsv"].split(b"\n", 1)[1]}),
        refused("699 lines in features.tsv"),
    ),
    _fault(
        "two matrices", _folder(lambda f: f | {f"b_{k}": v for k, v in f.items()}), refused("b_matrix.mtx, matrix.mtx")
    ),
    *(
        _fault(f"{name} cut", _on_disk(_cut(name, 0.6), end=".gz"), refused(name))
        for name in ("matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz")
    ),
    _fault("matrix.mtx cut", _on_disk(_cut("matrix.mtx", 0.6)), refused("matrix.mtx")),
    _fault(
        "a packed file that is none",
        _on_disk(lambda p: (p / "matrix.mtx.gz").write_bytes(b"\x1f\x8bjunk" * 50), end=".gz"),
        refused("matrix.mtx.gz"),
    ),
    _fault("barcodes of 256 MiB in one line, packed", _on_disk(_bomb, end=".gz"), refused("barcodes.tsv.gz")),
    _fault("a comment of 256 MiB, packed", _on_disk(_matrix_bomb, end=".gz"), refused("matrix.mtx.gz")),
    _fault("a size line of 256 MiB, packed", _on_disk(_line_bomb, end=".gz"), refused("matrix.mtx.gz")),
    _fault("matrix.mtx a FIFO", _on_disk(_instead("matrix.mtx", os.mkfifo)), refused("matrix.mtx")),
    _fault("barcodes.tsv a FIFO", _on_disk(_instead("barcodes.tsv", os.mkfifo)), refused("barcodes.tsv")),
    _fault("features.tsv a folder", _on_disk(_instead("features.tsv", _to_folder)), refused("features.tsv")),
    _fault(
        "matrix.mtx a link to a device",
        _on_disk(_instead("matrix.mtx", lambda p: p.symlink_to("/dev/zero"))),
        refused("matrix.mtx"),
    ),
    _fault(
        "barcodes.tsv a link to nowhere",
        _on_disk(_instead("barcodes.tsv", lambda p: p.symlink_to("/nowhere"))),
        refused("barcodes.tsv"),
    ),
    _fault("an .h5 of version 3", _h5(), same()),
    _fault("an .h5 of version 2", _h5(version=2), same()),
    _fault("an .h5 of two genomes", _h5(_second_genome, version=2), refused("one genome", "GRCh38, mm10")),
    *(
        _fault(f"an .h5 without {name}", _h5(without(f"matrix/{name}")), refused("sample.h5"))
        for name in ("barcodes", "data", "indices", "indptr", "shape", "features", "features/id", "features/name")
    ),
    _fault("an .h5 without types of features", _h5(without("matrix/features/feature_type")), same()),
    _fault("an .h5 of another shape", _h5(replace("matrix/shape", lambda s: s + 1)), refused("shape")),
    _fault("an .h5 with a shape of three", _h5(replace("matrix/shape", lambda s: np.append(s, 1))), refused("shape")),
    _fault("an .h5 with a shape of text", _h5(replace("matrix/shape", lambda _: "ab")), refused("shape")),
    _fault("an .h5 with an index out of range", _h5(set_at("matrix/indices", 3, 700)), refused("index 700")),
    _fault("an .h5 with negative counts", _h5(set_at("matrix/data", 3, -1)), refused("-1")),
    _fault("an .h5 of fractions", _h5(replace("matrix/data", lambda d: d * 0.5)), refused("whole numbers")),
    _fault("an .h5 with pointers that fall", _h5(set_at("matrix/indptr", 3, 10**6)), refused("fall")),
    _fault("an .h5 with pointers of float", _h5(replace("matrix/indptr", cast("f8"))), refused("float64")),
    _fault(
        "an .h5 with fewer barcodes", _h5(replace("matrix/barcodes", lambda b: b[:-1])), refused("119 names of cells")
    ),
    _fault("an .h5 cut", _cut_h5, refused("sample.h5")),
]
