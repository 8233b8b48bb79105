"""Bundles that are damaged, foreign, hostile or of another format."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.faults.fault import Expected, Fault, Make, refused_bundle, same

WEIGHTS, DESCRIPTION, GENES = "weights.safetensors", "bundle.json", "genes.tsv"

Content = dict[str, Any]


def _fault(name: str, change: Callable[[Path], object], expected: Expected) -> Fault:
    return Fault(row="bundles", name=name, make=_changed(change), expected=expected, role="bundle")


def _changed(change: Callable[[Path], object]) -> Make:
    def make(good: Path, folder: Path) -> Path:
        made = folder / "bundle"
        shutil.copytree(good.parent / "bundle", made)
        change(made)
        return made

    return make


def sign(folder: Path) -> None:
    """Record the digests of the files as they are now, as whoever changes a bundle on purpose would."""
    content = json.loads((folder / DESCRIPTION).read_text())
    for name in content["files"]:
        content["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    content["genes"]["digest"] = content["files"][GENES]
    (folder / DESCRIPTION).write_text(json.dumps(content))


def _described(change: Callable[[Content], object]) -> Callable[[Path], None]:
    """Change bundle.json."""

    def changed(folder: Path) -> None:
        content = json.loads((folder / DESCRIPTION).read_text())
        change(content)
        (folder / DESCRIPTION).write_text(json.dumps(content))

    return changed


def _set(path: str, value: Any) -> Callable[[Path], None]:
    """Set an entry of bundle.json: "rules/back_off"."""

    def change(content: Any) -> None:
        *parents, last = path.split("/")
        for name in parents:
            content = content[int(name) if isinstance(content, list) else name]
        content[int(last) if isinstance(content, list) else last] = value

    return _described(change)


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Change tensors and record the digest anew."""

    def changed(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)
        sign(folder)

    return changed


def _rewrite(name: str, change: Callable[[bytes], bytes], *, signed: bool = False) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        if signed:
            sign(folder)

    return changed


def _instead(name: str, put: Callable[[Path], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        (folder / name).rename(folder.parent / "aside")
        put(folder / name)

    return changed


def _head(change: Callable[[Content], object]) -> Callable[[bytes], bytes]:
    """Change the head of a safetensors file."""

    def changed(content: bytes) -> bytes:
        (n,) = struct.unpack("<Q", content[:8])
        head = json.loads(content[8 : 8 + n])
        change(head)
        text = json.dumps(head).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + n :]

    return changed


class _Evil:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch /tmp/neutrostage_pwned",)


def _pickle(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(_Evil()))
    sign(folder)


def _checkpoint(folder: Path) -> None:
    with zipfile.ZipFile(folder / WEIGHTS, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Evil()))
    sign(folder)


def _swap(folder: Path) -> None:
    weights, genes = folder / WEIGHTS, folder / GENES
    content = weights.read_bytes()
    weights.write_bytes(genes.read_bytes())
    genes.write_bytes(content)


def _first(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name, value in tensors.items() if value.is_floating_point() and value.ndim == 2)


def _nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors[_first(tensors)][0, 0] = float("nan")


def _infinite(tensors: dict[str, torch.Tensor]) -> None:
    tensors[_first(tensors)][0, 0] = float("inf")


def _narrower(tensors: dict[str, torch.Tensor]) -> None:
    name = _first(tensors)
    tensors[name] = tensors[name][:, :-1].contiguous()


def _half(tensors: dict[str, torch.Tensor]) -> None:
    for name, value in tensors.items():
        tensors[name] = value.half() if value.is_floating_point() else value


def _integers(tensors: dict[str, torch.Tensor]) -> None:
    tensors[_first(tensors)] = tensors[_first(tensors)].long()


def _negative_cells(tensors: dict[str, torch.Tensor]) -> None:
    tensors["confusion.cells"] = tensors["confusion.cells"] - 10**6


def _lines(change: Callable[[list[str]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        lines = (folder / GENES).read_text().splitlines()
        change(lines)
        (folder / GENES).write_text("\n".join(lines) + "\n")
        sign(folder)

    return changed


def _reversed_genes(folder: Path) -> None:
    lines = (folder / GENES).read_text().splitlines()
    (folder / GENES).write_text("\n".join(lines[:2] + lines[:1:-1]) + "\n")


def _file_instead(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


def _double_key(content: bytes) -> bytes:
    return content.replace(b'"format"', b'"format": 5, "format"', 1)


FAULTS = [
    _fault("nothing there", shutil.rmtree, refused_bundle("bundle")),
    _fault("a file for a folder", _file_instead, refused_bundle("bundle")),
    *(
        _fault(f"no {name}", _instead(name, lambda _: None), refused_bundle(name))
        for name in (WEIGHTS, DESCRIPTION, GENES)
    ),
    *(
        _fault(f"{name} cut", _rewrite(name, lambda b: b[: len(b) // 2]), refused_bundle(name))
        for name in (WEIGHTS, DESCRIPTION, GENES)
    ),
    *(
        _fault(f"{name} empty", _rewrite(name, lambda _: b""), refused_bundle(name))
        for name in (WEIGHTS, DESCRIPTION, GENES)
    ),
    *(
        _fault(f"{name} a folder", _instead(name, lambda p: p.mkdir()), refused_bundle(name))
        for name in (WEIGHTS, DESCRIPTION, GENES)
    ),
    *(
        _fault(f"{name} a FIFO", _instead(name, os.mkfifo), refused_bundle(name))
        for name in (WEIGHTS, DESCRIPTION, GENES)
    ),
    *(
        _fault(
            f"{name} a link", _instead(name, lambda p: p.symlink_to(p.parent.parent / "aside")), refused_bundle(name)
        )
        for name in (WEIGHTS, DESCRIPTION, GENES)
    ),
    _fault(
        "one bit of the weights flipped",
        _rewrite(WEIGHTS, lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:]),
        refused_bundle(WEIGHTS, "sha256"),
    ),
    _fault("weights and genes swapped", _swap, refused_bundle("sha256")),
    _fault("genes in another order", _reversed_genes, refused_bundle(GENES)),
    _fault("a gene twice, signed", _lines(lambda g: g.__setitem__(3, g[2])), refused_bundle(GENES)),
    _fault("one gene fewer, signed", _lines(lambda g: g.pop()), refused_bundle(GENES)),
    _fault(
        "genes of another species, signed",
        _lines(lambda g: g.__setitem__(0, "# species: axolotl")),
        refused_bundle(GENES, "axolotl"),
    ),
    _fault(
        "genes.tsv in latin-1, signed",
        _rewrite(GENES, lambda b: b.replace(b"Abcc9", b"Ab\xe9c9"), signed=True),
        refused_bundle(GENES),
    ),
    _fault("a pickle for weights", _pickle, refused_bundle(WEIGHTS)),
    _fault("a torch checkpoint for weights", _checkpoint, refused_bundle(WEIGHTS)),
    _fault("NaN among weights", _weights(_nan), refused_bundle(WEIGHTS, "not finite")),
    _fault("infinity among weights", _weights(_infinite), refused_bundle(WEIGHTS, "not finite")),
    _fault("a tensor of another shape", _weights(_narrower), refused_bundle(WEIGHTS, "belongs")),
    _fault(
        "a tensor too many", _weights(lambda t: t.__setitem__("evil", torch.zeros(2))), refused_bundle(WEIGHTS, "evil")
    ),
    _fault("a tensor missing", _weights(lambda t: t.pop(_first(t))), refused_bundle(WEIGHTS, "nothing")),
    _fault("a tensor of another type", _weights(_integers), refused_bundle(WEIGHTS, "int64")),
    _fault("weights in half precision", _weights(_half), refused_bundle(WEIGHTS, "float16")),
    _fault("negative cells in the confusion", _weights(_negative_cells), refused_bundle(WEIGHTS, "confusion")),
    _fault(
        "a head of safetensors that declares petabytes",
        _rewrite(WEIGHTS, lambda b: struct.pack("<Q", 2**50) + b[8:], signed=True),
        refused_bundle(WEIGHTS),
    ),
    _fault(
        "a tensor that declares terabytes",
        _rewrite(
            WEIGHTS,
            _head(lambda h: next(v for k, v in h.items() if k != "__metadata__").update(shape=[2**20, 2**20])),
            signed=True,
        ),
        refused_bundle(WEIGHTS),
    ),
    _fault("an unknown key", _set("evil", 1), refused_bundle(DESCRIPTION, "evil")),
    _fault("a key missing", _described(lambda c: c.pop("rules")), refused_bundle(DESCRIPTION, "rules")),
    _fault("a newer format", _set("format", 99), refused_bundle("format", "99")),
    _fault("an older format", _set("format", 1), refused_bundle("format 1")),
    _fault("a format that is text", _set("format", "5"), refused_bundle("format")),
    _fault("a format that is true", _set("format", value=True), refused_bundle("format")),
    _fault("text that is not JSON", _rewrite(DESCRIPTION, lambda b: b[:-3]), refused_bundle(DESCRIPTION, "JSON")),
    _fault("JSON that is a list", _rewrite(DESCRIPTION, lambda _: b"[1]"), refused_bundle(DESCRIPTION)),
    _fault("JSON nested 100,000 deep", _rewrite(DESCRIPTION, lambda _: b"[" * 100_000), refused_bundle(DESCRIPTION)),
    _fault("JSON of a key twice", _rewrite(DESCRIPTION, _double_key), refused_bundle(DESCRIPTION, "twice")),
    _fault("NaN for a metric", _set("metrics/evil", float("nan")), same()),
    _fault(
        "JSON with a number of 5,000 digits",
        _rewrite(DESCRIPTION, lambda b: b.replace(b'"format": ', b'"format": ' + b"9" * 5000, 1)),
        refused_bundle(DESCRIPTION),
    ),
    _fault("JSON in UTF-16", _rewrite(DESCRIPTION, lambda b: b.decode().encode("utf-16")), refused_bundle(DESCRIPTION)),
    _fault("JSON of 60 MB", lambda p: os.truncate(p / DESCRIPTION, 60_000_000), refused_bundle(DESCRIPTION)),
    *(
        _fault(f"a temperature of {value}", _set("temperatures/0", value), refused_bundle(DESCRIPTION, "temperatures"))
        for value in (0, -1, "a", None, 1e300, float("nan"), float("inf"))
    ),
    _fault("temperatures missing", _set("temperatures", []), refused_bundle(DESCRIPTION, "temperatures")),
    _fault(
        "a prior that does not sum to 1",
        _described(lambda c: c["training_prior"].update(dict.fromkeys(c["training_prior"], 0.5))),
        refused_bundle(DESCRIPTION, "prior"),
    ),
    _fault(
        "a file beside the bundle",
        _described(lambda c: c["files"].update({"../aside": "0" * 64})),
        refused_bundle(DESCRIPTION),
    ),
    _fault(
        "a path out of the bundle",
        _described(lambda c: c["files"].update({"../../../../etc/passwd": "0" * 64})),
        refused_bundle(DESCRIPTION),
    ),
    _fault("files of another kind", _set("files", ["a"]), refused_bundle(DESCRIPTION)),
    _fault("a network of another width", _set("network/encoder/n_hidden", 64), refused_bundle("belongs")),
    _fault("a network of terabytes", _set("network/encoder/n_hidden", 2**40), refused_bundle(DESCRIPTION, "network")),
    _fault("a network of negative width", _set("network/encoder/n_hidden", -5), refused_bundle(DESCRIPTION)),
    _fault(
        "a network of millions of blocks",
        _set("network/encoder/n_blocks", 10**8),
        refused_bundle(DESCRIPTION, "network"),
    ),
    _fault("a network option that nobody knows", _set("network/encoder/evil", 1), refused_bundle(DESCRIPTION, "evil")),
    _fault("rules that are text", _set("rules/back_off", "often"), refused_bundle(DESCRIPTION)),
    _fault("rules out of range", _set("rules/back_off", -7), refused_bundle(DESCRIPTION)),
    _fault("a label tree without nodes", _set("ontology/nodes", []), refused_bundle(DESCRIPTION)),
    _fault("a label tree that is a number", _set("ontology", 3), refused_bundle(DESCRIPTION)),
    _fault("a stage scale that is a number", _set("stage_scale", 3), refused_bundle(DESCRIPTION)),
    _fault("no stage scale for weights of a stage", _set("stage_scale", None), refused_bundle(WEIGHTS, "stage")),
    _fault(
        "training labels below zero",
        _described(lambda c: c["training_labels"].update(NEUT=-5)),
        refused_bundle(DESCRIPTION, "training_labels"),
    ),
    _fault(
        "training labels of unknown nodes",
        _described(lambda c: c["training_labels"].update(EVIL=5)),
        refused_bundle(DESCRIPTION, "EVIL"),
    ),
    _fault("made labels of unknown nodes", _set("made_labels", ["EVIL"]), refused_bundle(DESCRIPTION, "EVIL")),
    _fault("a limit of detection of text", _set("detection_limit", "low"), refused_bundle(DESCRIPTION)),
]
