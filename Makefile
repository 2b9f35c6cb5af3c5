# Needs Python 3.11 or newer, make, and a package registry within reach.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
CONSTRAINTS := constraints.txt
HASHES := .ci/hashes.txt

# Where torch is looked for first. Linux wheels from the default index bring
# several GB of CUDA along, so this is the CPU build. For a GPU name a CUDA
# index, in a fresh environment (an installed torch is kept):
#   make clean && make env TORCH_INDEX=https://download.pytorch.org/whl/cu130
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH = $(shell grep '^torch==' $(CONSTRAINTS))

# JupyterLab refuses to run as root unless told so, as it must be in a container.
AS_ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab dashboard test lint format docs env data models models-qm9 models-chembl24 models-faults pictures measure clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

lab: env ## open the workbench: JupyterLab on the first notebook
	$(PY) -m jupyter lab $(AS_ROOT) notebooks/00_start_here.ipynb

dashboard: env ## show a learned loss to stakeholders, read-only; DASHBOARD_ARGS="--kernels=4 --port=8866" adds options
	$(PY) notebooks/dashboard $(DASHBOARD_ARGS)

test: env ## run all tests, by two processes; PYTEST_ARGS="-n 0 -k name" narrows them, in one
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 $(PYTEST_ARGS)

lint: env ## check style, format and types of the Python and the JavaScript
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	.ci/js/check

format: env ## apply the safe fixes and the format that `make lint` checks
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

docs: env ## build the API reference in build/docs, offline
	$(PY) .ci/build_docs.py build/docs

env: $(VENV)/.ready ## make the environment in .venv (the other targets do so themselves)

data: env ## rebuild the molecules and the reports of faults shipped in data/
	$(PY) data/build/molecules7.py
	$(PY) data/build/faults.py

models: env ## train the shipped models on those molecules again
	$(PY) data/build/recipes.py molecules7
	$(PY) data/build/recipes.py repeats
	$(PY) data/build/recipes.py maps
	$(PY) data/build/recipes.py corrected
	$(PY) data/build/recipes.py card

models-qm9: env ## train the shipped QM9 models again
	$(PY) data/build/recipes.py qm9

models-chembl24: env ## train the shipped models of larger molecules again
	$(PY) data/build/recipes.py chembl24

models-faults: env ## train the shipped models of reports of faults again
	$(PY) data/build/recipes.py faults

pictures: env ## make the README's pictures again (the widgets in a real Chromium)
	$(PY) data/build/recipes.py pictures
	$(PY) tests/workbench.py pictures

measure: env ## time the widgets in a real Chromium
	$(PY) tests/workbench.py measure

clean: ## remove the environment, caches and build output
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is touched last, so a failed install leaves none (or an old one,
# older than the files it depends on) and the next call tries again.
# torch goes first and without its dependencies: those come in the second step,
# from the default index, where the pinned versions are. pip takes X.Y.Z+cpu for
# X.Y.Z and leaves it alone there. Files of the second step must have a hash of
# $(HASHES). The last step adds elekit, and what torch for a GPU or another
# system needs beyond that list.
$(VENV)/.ready: pyproject.toml $(CONSTRAINTS) $(HASHES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "elekit needs Python 3.11 or newer: make env PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@$(PY) .ci/lock.py --print pip > $(VENV)/pip.txt
	@$(PY) .ci/lock.py --print > $(VENV)/requirements.txt
	$(PIP) install --require-hashes -r $(VENV)/pip.txt
	@echo "Installing $(TORCH) from $(TORCH_INDEX)"
	@$(PIP) install --no-deps --index-url $(TORCH_INDEX) --retries 1 --timeout 15 "$(TORCH)" 2> $(VENV)/torch-index.log \
	  || echo "No $(TORCH) from $(TORCH_INDEX) (see $(VENV)/torch-index.log): taking it from the default index."
	$(PIP) install --no-deps --require-hashes -r $(VENV)/requirements.txt
	$(PIP) install --no-build-isolation -c $(CONSTRAINTS) -e ".[lab,bench,serve,scale,dev]"
	@touch $@
