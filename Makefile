# On a fresh machine: `make sweep` or `make test`.

PYTHON ?= python3
VENV   ?= .venv
LOWEST := .venv-lowest
BIN    := $(VENV)/bin
BENCH  := .venv-bench
BENCH_DATA ?= data

.PHONY: sweep test test-lowest test-faults test-ray bench check format docs clean

sweep: $(VENV)/.installed  ## Install, run the quickstart sweep, print its report
	$(BIN)/cnnsweep run sweeps/quickstart.yaml
	$(BIN)/cnnsweep report runs/quickstart

test: $(VENV)/.installed  ## Run the tests, in parallel
	$(BIN)/python -m pytest -n auto

test-lowest: $(LOWEST)/.installed  ## Run the tests with the lowest version of every package that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest -n auto

test-faults: $(VENV)/.installed  ## Run the fault tests: kills, full disks, damaged files; half an hour on two cores
	$(BIN)/python -m pytest -n auto -m faults

test-ray: $(VENV)/.installed  ## Run the tests on Ray clusters of several nodes, which are killed; ten minutes on two cores
	$(BIN)/python -m pytest -n0 -m ray

bench: $(BENCH)/.installed  ## Measure against Lightning, Ray Tune, Optuna and others, about an hour: docs/benchmarks.md
	$(BENCH)/bin/python benchmarks/peers.py --data-root $(BENCH_DATA)
	$(BENCH)/bin/python benchmarks/step_profile.py --keep

check: $(VENV)/.installed  ## Lint, check formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 cnnsweep benchmarks docs  # no file depends on the locale
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed  ## Fix lint and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed  ## Write docs/commands.md from the help texts
	$(BIN)/python docs/commands.py

clean:  ## Remove the environments and all build outputs
	rm -rf $(VENV) $(LOWEST) $(BENCH) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("cnnsweep needs Python 3.11 or later, this is %d.%d; name one with make PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(LOWEST)/.installed: pyproject.toml tests/lowest_versions.py
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) tests/lowest_versions.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/constraints.txt --editable '.[dev]'
	touch $@

$(BENCH)/.installed: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --editable '.[ray,search,report]' lightning 'ray[tune]'
	touch $@
