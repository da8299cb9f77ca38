# The commands of this repository. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRA ?= device
STAMP := $(VENV)/.installed
DEVICE_STAMP := $(VENV)/.installed-device

.DEFAULT_GOAL := help
.PHONY: help demo install install-device test test-all lint fix docs smoke clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Run the whole loop on this machine: train, build, push, infer, report
	$(BIN)/green-edge demo

install: $(STAMP) ## Make .venv with everything

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: name a newer one, as in 'make PYTHON=python3.12 install'"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

install-device: $(DEVICE_STAMP) ## On a board: make .venv with the agent alone (EXTRA=coral with a Coral)

# 32-bit boards take numpy from Debian (python3-numpy): PyPI has no armv7l wheel of it.
$(DEVICE_STAMP): pyproject.toml
	$(PYTHON) -m venv $$(case "$$(uname -m)" in armv*) echo --system-site-packages;; esac) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[$(EXTRA)]'
	@touch $(DEVICE_STAMP)

lint: $(STAMP) ## Format, lint, types, import contracts, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

fix: $(STAMP) ## Format and mend what a tool can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint ## What CI runs: lint, then the tests with coverage
	$(BIN)/coverage erase
	$(BIN)/python -m pytest -m 'not slow' --cov --cov-report=
	$(BIN)/coverage report --skip-covered --fail-under=85

test-all: lint ## The same with the slow suite
	$(BIN)/coverage erase
	$(BIN)/python -m pytest --cov --cov-report=
	$(BIN)/coverage report --skip-covered --fail-under=85

docs: $(STAMP) ## Write docs/cli.md anew from the commands' help
	$(BIN)/python docs/make_cli.py

smoke: ## Install the wheel alone in a fresh venv, without extras, and ask for help
	rm -rf build/smoke && $(PYTHON) -m venv build/smoke
	build/smoke/bin/python -m pip install --quiet --disable-pip-version-check .
	build/smoke/bin/green-edge --help
	build/smoke/bin/green-edge-agent --help

clean: ## Remove .venv and what tools left behind
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
