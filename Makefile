# make run    the virtual patient, beats shown as they come     (ARGS="--duration 10" and the like go to `streamqrs run`)
# make test   lint, types and tests, with all extras
# make bench  figures for bench/README.md
# make docs   the documents as a site, in site/; needs no network
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
# most tests wait for processes: three of them share two cores well
WORKERS ?= 3
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# programs and packages come side by side
MAKEFLAGS += --jobs=2
# to compile all that the tests need takes longer than to install it: what is imported is compiled then, and kept
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint tools bench docs clean
.DEFAULT_GOAL := run

run: $(VENV)/.core
	$(BIN)/streamqrs run $(ARGS)

test: $(VENV)/.all tools lint
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# mypy does not know that adapters/ and models/ are streamqrs.adapters and streamqrs.models: show it a tree where they are
	@rm -rf build/typed && mkdir -p build/typed/streamqrs && ln -s $(CURDIR)/streamqrs/* build/typed/streamqrs/ && \
	  ln -s $(CURDIR)/adapters $(CURDIR)/models build/typed/streamqrs/
	cd build/typed && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p streamqrs

# some twenty minutes on two free cores; the models and the data of the moment
bench: $(VENV)/.bench tools
	$(BIN)/streamqrs bench latency --out bench/results
	$(BIN)/streamqrs bench engine --realtime --out bench/results
	$(BIN)/streamqrs bench end-to-end --transport lsl --out bench/results
	$(BIN)/streamqrs bench end-to-end --transport mqtt --chunk 8 --out bench/results
	$(BIN)/streamqrs bench throughput --hours 24 --out bench/results
	$(BIN)/streamqrs bench accuracy --out bench/results
	$(BIN)/streamqrs bench peers --minutes 2 --out bench/results
	$(BIN)/streamqrs bench peers --data nstdb --no-live --out bench/results
	$(BIN)/streamqrs bench peers --data sim --minutes 2 --out bench/results
	$(BIN)/python bench/write_readme.py

docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs build

# what the tests need besides Python packages: brought where that is allowed, skipped and said where not
tools: | $(VENV)/bin/python
	@sh tests/tools.sh

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || sh tests/tools.sh venv $(PYTHON) $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[bench]'
	@touch $(VENV)/.core $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[docs]'
	@touch $(VENV)/.core $@

$(VENV)/.all: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --no-compile --editable '.[all]'
	@touch $(VENV)/.core $@

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
