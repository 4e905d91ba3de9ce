# The two commands of a new user are `make demo` and `make test`; `make help` lists the others.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
DEMO := demo
DEMO_RECORDS ?= 200000

.PHONY: help demo test check format benchmark soak clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# One environment for all targets, made anew when the dependencies change. TensorFlow is installed
# once: each stamp adds its extra to what is there.
$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev]'
	@touch $@

# Of its own, since there is no atheris for some machines that can do all else.
$(VENV)/installed-fuzz: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,fuzz]'
	@touch $@

demo: $(VENV)/installed  ## make a quest log, split it, train on it, and say what came out
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/python data/make_quest_log.py --records $(DEMO_RECORDS) --out $(DEMO)/quest_log.csv
	set -o pipefail; export PATH="$(CURDIR)/$(BIN):$$PATH"; cd $(DEMO); \
	  sharder split quest_log.csv --out data | trainer fit - --label clear --out runs/demo --epochs 3

test: $(VENV)/installed-test  ## run all tests
	$(BIN)/python -m pytest

check: $(VENV)/installed-dev  ## formatting, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: $(VENV)/installed-test  ## measure against GNU split and the classic recipe
	$(BIN)/python benchmarks/split.py
	$(BIN)/python benchmarks/feed.py
	$(BIN)/python benchmarks/fit.py

soak: $(VENV)/installed-fuzz  ## KILLS=50 kills at random moments, FUZZ_SECONDS=30 for each parser
	$(BIN)/python -m pytest --hypothesis-profile=soak tests/test_sharder_records.py tests/test_parsers.py
	$(BIN)/python -m pytest -s tests/soak_parsers.py
	$(BIN)/python -m pytest -n 0 -s tests/soak_sharder_resume.py tests/soak_trainer_resume.py

clean:  ## remove all that the targets make
	rm -rf $(VENV) $(DEMO) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

SHELL := /bin/bash
