# `make run` trains a network on real data and says how good it is. `make test` runs every check there is.
#
#   PYTHON=python3.12 make test             another interpreter (3.11 or newer)
#   PYTEST_ARGS="-k conv" make test         arguments for pytest

PYTHON ?= python3
PYTEST_ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SOURCES := pyproject.toml CMakeLists.txt $(shell find src csrc -not -name __pycache__ -not -name '*.pyc')

# The tests, and the examples in the installed package's docstrings.
PYTEST := $(BIN)/python -m pytest tests --doctest-modules --pyargs lamina

.PHONY: run test check lint format clean

run: .venv/installed
	$(BIN)/lamina train digits --out runs/digits --force

test: lint
	$(PYTEST) $(PYTEST_ARGS)

# What to run while working: everything but the slow tests.
check: lint
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/made:
	$(PYTHON) -c 'import sys; sys.exit("Lamina needs Python 3.11 or newer; name one: PYTHON=python3.11 make ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	touch $@

# The package itself, not a link to the sources: what is tested is what is installed.
.venv/installed: .venv/made $(SOURCES)
	$(PIP) .
	touch $@

.venv/installed-dev: .venv/made $(SOURCES)
	$(PIP) '.[dev]'
	touch $@ .venv/installed
