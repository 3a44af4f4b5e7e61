# Everything a developer types. `make` alone lists it.
#
# The environment is .venv, made from requirements.lock with hashes checked. pip does it, not a
# faster installer, because pip alone honours the pip configuration of a machine behind a proxy or a
# mirror. The stamp file makes every later call instant until pyproject.toml or the lock changes.

SHELL := /bin/sh
BIN := .venv/bin
STAMP := .venv/.installed
ARGS ?=
# Two workers share the cores with whatever else runs: the 5 seconds of a test become 20.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --timeout 20

# The first of these that is Python 3.11; `make install PYTHON=/path/to/python3.11` overrides.
PYTHON ?= $(shell for name in python3.11 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	&& command -v "$$name" && break; done)

.DEFAULT_GOAL := help
.PHONY: help install sweep test test-fast fuzz check format bench lock lowest wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with cvjobs and everything needed to develop it

sweep: $(STAMP) ## install, then run the quickstart sweep (ARGS="--trials 4" adds options)
	@$(BIN)/cvjobs sweep $(ARGS)

test: $(STAMP) ## install, then run the whole suite (ARGS=tests/unit runs a part)
	@$(PYTEST) $(ARGS)

test-fast: $(STAMP) ## the suite without the tests marked slow
	@$(PYTEST) -m "not slow" $(ARGS)

fuzz: $(STAMP) ## the property tests on 1,000 new random examples each (ARGS=tests/unit a part)
	@$(PYTEST) --timeout 900 -m hypothesis --hypothesis-profile fuzz $(ARGS)

check: $(STAMP) ## format, lint, types, import contracts, architecture: what the suite holds, at once
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m pytest -q -m "not slow" tests/architecture tests/test_docs.py

format: $(STAMP) ## rewrite the sources as `make check` wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## run every benchmark (benchmarks/README.md says how to report one)
	@ls benchmarks/bench_*.py >/dev/null 2>&1 || { echo "benchmarks/ holds no bench_*.py yet"; exit 1; }
	@for script in benchmarks/bench_*.py; do $(BIN)/python "$$script" || exit 1; done

# `make lock LOCK_FLAGS=--upgrade` moves the pins; without it only what pyproject.toml demands moves.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url \
	--no-header --python-version 3.11 $(LOCK_FLAGS)

lock: | $(BIN)/uv ## write requirements.lock and requirements-gpu.lock from pyproject.toml
	$(LOCK) --extra cpu --extra dev --universal --output-file requirements.lock
	$(LOCK) --extra gpu --python-platform x86_64-manylinux_2_28 --output-file requirements-gpu.lock

lowest: | $(BIN)/uv ## run the unit tests on the lowest versions that pyproject.toml allows
	mkdir -p build
	$(BIN)/uv pip compile pyproject.toml --quiet --extra cpu --extra dev --python-version 3.11 \
		--resolution lowest-direct --no-header --output-file build/lowest.txt
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install -qq --no-deps -r build/lowest.txt
	build/lowest/bin/python -m pytest -n 2 --dist loadgroup -m "not slow" tests/unit tests/contracts

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m hatchling build --target wheel

clean: ## remove .venv, builds and caches; stores and data stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "cvjobs needs Python 3.11 and found none on PATH (python3 is $$(python3 --version 2>/dev/null || echo missing))."; \
		echo "Install it, or name it: make install PYTHON=/path/to/python3.11"; exit 1; } >&2
	$(PYTHON) -m venv .venv

$(BIN)/uv: | $(BIN)/python
	$(BIN)/python -m pip install -qq uv

$(STAMP): pyproject.toml requirements.lock | $(BIN)/python
	@echo "Installing into .venv: some 90 packages, 3 GB on disk, a few minutes the first time."
	$(BIN)/python -m pip install -qq --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@
