# Needs Python 3.11+, pip, venv and make; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: demo test test-slow lint format train readme wheel clean

demo: $(VENV)/installed  ## the whole pipeline on the bundled model
	$(BIN)/autointerp demo

test: $(VENV)/installed-dev  ## the fast tests
	$(RUN_TESTS) -m "not slow" -n 2 --dist loadfile

test-slow: $(VENV)/installed-dev  ## simulations of coverage, size and power
	$(RUN_TESTS) -m slow -n 2 --dist loadfile

lint: $(VENV)/installed-dev  ## style, types, and that the README's schema is the schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m autointerp.store.docs README.md --check

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: $(VENV)/installed  ## corpus, subject, SAEs and planted dictionary again (about 45 minutes on one core)
	$(BIN)/python -m autointerp.train.all

readme: $(VENV)/installed-dev  ## the schema section of the README
	$(BIN)/python -m autointerp.store.docs README.md

wheel: $(VENV)/installed-dev
	$(BIN)/python -m build --wheel

$(VENV)/created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
