# Neutrostage: the commands people use. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
REAL_DATA ?= $(or $(NEUTROSTAGE_REAL_DATA),../shared/data)
PYTHON312 ?= python3.12
QUICK ?=
RESULTS := $(if $(QUICK),runs/quick,docs/results)
TORCH := $(shell grep '^torch==' constraints.txt)

# threads that wait give way instead of spinning, so that a shared machine is not several times slower
export OMP_WAIT_POLICY ?= passive
# 1: benchmarks take a quick setting, and their pages go to runs/quick
export QUICK

.DEFAULT_GOAL := help
.PHONY: help demo test check real bench bench-loader bench-checks bench-step bench-batch bench-memory bench-augment bench-cells bench-stage bench-stage-memory bench-burden reliability format clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	@# torch first and alone, so that a CPU build already on the machine is not replaced by a CUDA one
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $@

.venv/bench: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --group bench
	touch $@

demo: .venv/installed ## simulate a staged cohort, train, predict unseen mice, burden and report (runs/demo)
	rm -rf runs/demo runs/demo_data
	$(BIN)/python -m datamodules.simulate --output runs/demo_data --n_mice 3 --n_cells 600
	$(BIN)/python train.py --config configs/demo.yaml --output runs/demo
	$(BIN)/python predict.py runs/demo_data/held_out_simulated.h5ad --bundle runs/demo/bundle --output runs/demo/predictions
	$(BIN)/python -m benchmarks.demo --run runs/demo --truth runs/demo_data/held_out_simulated.h5ad

test: .venv/installed ## the whole test suite
	$(BIN)/python -m pytest

check: .venv/installed ## ruff, mypy strict, import-linter, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

real: .venv/installed ## train and test on real data (REAL_DATA=folder), table in docs/results/real.md
	$(BIN)/python -m benchmarks.real --data $(REAL_DATA) --output docs/results

bench: .venv/installed ## measure how many orthologs the symbol rule gets right, table in docs/results
	$(BIN)/python -m benchmarks.orthologs --data $(REAL_DATA) --output docs/results

bench-loader: .venv/bench ## measure loaders and peers, table in docs/results/loader.md (LARGE=1: a million cells)
	$(BIN)/python -m benchmarks.loader --output $(RESULTS) --python312 $(PYTHON312) $(if $(LARGE),--large)

bench-checks: .venv/installed ## measure what checking every value costs, table in docs/results/checks.md
	$(BIN)/python -m benchmarks.check_cost --output $(RESULTS)

bench-step: .venv/installed ## measure whole steps of training and prediction, table in docs/results/step.md
	$(BIN)/python -m benchmarks.step --output $(RESULTS)

bench-batch: .venv/installed ## measure learning rates against batch sizes, table in docs/results/batch_size.md
	$(BIN)/python -m benchmarks.batch_size --output $(RESULTS)

bench-memory: .venv/installed ## measure peak memory against cells, table in docs/results/memory.md
	$(BIN)/python -m benchmarks.memory --output $(RESULTS)

bench-augment: .venv/installed ## measure what each piece of the augmentation is worth, table in docs/results/augmentation.md
	$(BIN)/python -m benchmarks.augmentation --output $(RESULTS)

bench-cells: .venv/installed ## measure cell types against floors and peers, table in docs/results/cells.md (goes on where it stopped)
	$(BIN)/python -m benchmarks.cells --data $(REAL_DATA) --output $(RESULTS)

bench-stage: .venv/installed ## measure stages of samples against floors, table in docs/results/stage.md
	$(BIN)/python -m benchmarks.stage --data $(REAL_DATA) --output $(RESULTS)

bench-stage-memory: .venv/installed ## measure peak memory of one large sample and of many, table in docs/results/stage_memory.md
	$(BIN)/python -m benchmarks.stage_memory --output $(RESULTS)

bench-burden: .venv/installed ## measure the burden against known mixtures and peers, table in docs/results/burden.md
	$(BIN)/python -m benchmarks.burden --data $(REAL_DATA) --output $(RESULTS)

reliability: .venv/installed ## try every bad day of benchmarks/faults, table in docs/reliability.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.reliability --output $(RESULTS) --page $(if $(QUICK),$(RESULTS),docs)/reliability.md

format: .venv/installed ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the demo's results
	rm -rf runs/demo runs/demo_data
