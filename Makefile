# `make demo` to see it work, `make test` for every check, `make bench` for the figures.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test demo coverage bench prove format clean
.DEFAULT_GOAL := test

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/installed
	@exec $(BIN)/emdc demo

test: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config tools/importlinter.toml
	$(BIN)/codespell .
	$(BIN)/python -m pytest -n 2 --dist worksteal

coverage: $(VENV)/installed-dev
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

bench: $(VENV)/installed-dev
	$(BIN)/python -m bench

prove: $(VENV)/installed-dev
	$(BIN)/python -m bench --long

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
