# Every job of continuous integration is a target here. `make demo` and `make test` do all the set-up on a fresh machine.
#
#   make demo                                    a first report from a table with planted faults: report.html
#   make test lint types                         what every change must pass
#   make check                                   the same, and the spelling
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu make test    the CPU build of torch where pip does not find one by itself

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
TORCH_INDEX ?=
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt
# One thread per process: two torch processes with all threads each slow each other tenfold.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# Names of people, units and codes, and slips that tests make on purpose.
NAMES := lama,nd,te,ue,fo,ans,ser,aas,covert,hart,zar,thur,abd,peopel,doubleclick,tracin,bloc,teh,nce,fpr,mape,somme

.PHONY: help demo test long peers oldest docs lint format types spelling check clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Pellucid needs Python 3.11 or newer; run: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# A stamp for each set of extras: pip runs again only where the wanted versions have changed.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-%: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e ".[$*]"
	@touch $@

demo: $(VENV)/.installed  ## set up, and write a first report: report.html
	$(BIN)/pellucid demo --out report.html

test: $(VENV)/.installed-test  ## the default suite
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

long: $(VENV)/.installed-test  ## statistical guarantees and the full grid, minutes each
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) -m "long and not peer" $(PYTEST)

peers: $(VENV)/.installed-test $(VENV)/.installed-peers  ## the same answers from other packages
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) -m peer $(PYTEST)

oldest:  ## the default suite on the oldest supported dependencies
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python .ci/oldest.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c .venv-oldest/constraints.txt -e ".[test]"
	$(ONE_THREAD) .venv-oldest/bin/python -m pytest -n $(WORKERS) $(PYTEST)

docs: $(VENV)/.installed-test  ## run every code block of README and docs, and every docstring example
	$(ONE_THREAD) $(BIN)/python -m pytest tests/test_docs.py $(PYTEST)

lint: $(VENV)/.installed-lint  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-lint  ## put the files into the common form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-lint  ## mypy --strict
	$(BIN)/mypy

spelling: $(VENV)/.installed-lint  ## codespell
	$(BIN)/codespell -L $(NAMES) src tests docs examples benchmarks *.md

check: lint types spelling test  ## everything a change must pass

clean:  ## remove what the targets made
	rm -rf $(VENV) .venv-oldest .pytest_cache .mypy_cache .ruff_cache report.html report.json
