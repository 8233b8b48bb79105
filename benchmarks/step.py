"""The whole-step benchmark: `python -m benchmarks.step --output docs/results` (also `make bench-step`)."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.loader_files import WorkFolder, packing_command
from benchmarks.loader_set import SetConfig
from benchmarks.measure import ROOT, commit, hardware, python, run_measured
from benchmarks.step_page import page

BATCH_SIZES, QUICK_SIZES = (256, 512, 1024, 2048, 4096), (512, 4096)
PACKAGES = ("numpy", "pytorch-lightning", "torch")


@dataclass(frozen=True)
class Case:
    """A device and format on which all batch sizes are measured: how the page calls it, and its options."""

    device: str
    kind: str
    options: tuple[str, ...] = ()


BF16 = ("--accelerator", "gpu", "--precision", "bf16-mixed")
CPU_CASES = (Case("cpu", "raw h5ad"),)
CUDA_CASES = tuple(
    Case(f"cuda, bf16{words}", kind, BF16 + more)
    for kind in ("packed", "raw h5ad")
    for words, more in (("", ()), (", compiled", ("--compile",)))
)


def chosen_cases(device: str) -> tuple[Case, ...]:
    """Return the cases of a device: cpu, cuda, or auto for all that are there.

    Raises
    ------
    SystemExit
        If a CUDA device is asked for and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise SystemExit("--device cuda needs a CUDA device, and there is none.")
    cpu = CPU_CASES if device in ("cpu", "auto") else ()
    return cpu + (CUDA_CASES if has_cuda and device in ("cuda", "auto") else ())


def run_case(folder: WorkFolder, case: Case, batch_size: int, seconds: float, number: int) -> dict[str, Any]:
    """Measure one batch size in a process of its own."""
    options = {"path": folder.path(case.kind), "batch_size": batch_size, "seconds": seconds, "seed": number}
    command = python("-m", "benchmarks.step_process", *case.options)
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"Expected exit 0 but got {done.returncode} from {' '.join(command)}:\n{done.stderr[-2000:]}"
        )
    row = {"round": number, "device": case.device, "kind": case.kind, "batch_size": batch_size}
    print(f"round {number + 1}: {case.device}, {case.kind}, batches of {batch_size:,}", file=sys.stderr, flush=True)
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row | figures


def run_predict(folder: WorkFolder, number: int) -> dict[str, Any]:
    """Run predict.py on a CPU with the untrained network, everything written, and return its seconds and memory."""
    bundle, output = folder.folder / "step_bundle", folder.folder / "step_predictions"
    cells = str(folder.path("raw h5ad"))
    if not bundle.exists():
        command = python("-m", "benchmarks.step_process", "--path", cells, "--batch_size", "4096")
        run_measured([*command, "--bundle", str(bundle)], folder.folder / "step_bundle.log")
    command = python("predict.py", cells, "--bundle", str(bundle), "--output", str(output), "--device", "cpu")
    measured = run_measured(command, folder.folder / "step_predict.log")
    shutil.rmtree(output)
    return {"round": number, **vars(measured)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Make the set where it is not there, run everything, and return the rows with what the page says of them."""
    cases = chosen_cases(options.device)
    gpu = torch.cuda.get_device_name() if any(case.options for case in cases) else "no GPU"
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware(gpu)}
    folder = WorkFolder.of(options.work.resolve(), SetConfig(n_cells=10_000 if options.quick else 60_000))
    folder.prepare()
    if any(case.kind == "packed" for case in cases):
        folder.make("packed", packing_command(folder.path("raw h5ad")))
    shutil.rmtree(folder.folder / "step_bundle", ignore_errors=True)
    sizes, seconds = (QUICK_SIZES, 2.0) if options.quick else (BATCH_SIZES, options.seconds)
    n_rounds = 1 if options.quick else options.rounds
    rows, commands = [], []
    for number in range(n_rounds):
        rows += [run_case(folder, case, size, seconds, number) for size in sizes for case in cases]
        commands.append(run_predict(folder, number))
    return origin | {
        "command": ("QUICK=1 " if options.quick else "") + "python -m benchmarks.step --output docs/results",
        "quick": options.quick,
        "versions": {name: version(name) for name in PACKAGES},
        "set": asdict(folder.config),
        "seeds": list(range(n_rounds)),
        "n_rounds": n_rounds,
        "seconds": seconds,
        "rows": rows,
        "predict_commands": commands,
    }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure whole steps; write step.md and step.json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_loader", help="folder of the sets")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="one short round")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto = all that are there")
    parser.add_argument("--rounds", type=int, default=3, help="rounds")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each measurement")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write step.md and step.json."""
    options = parse(arguments)
    results = measure(options)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "step.md").write_text(page(results), encoding="utf-8")
    (options.output / "step.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(options.output / "step.md")


if __name__ == "__main__":
    main()
