# `make demo` trains a small model and tries it out; `make test` checks the code. Each makes .venv first.
PYTHON ?= python3
VENV ?= .venv
# Processes that run tests.
WORKERS ?= 2
DEMO ?= outputs/demo
DEMO_WORDS ?= chatbot crowdfunding ransomware staycation zoomer
# One thread a process: small tensors gain little from a second, and on a busy machine two wait for each other at length.
export OMP_NUM_THREADS ?= 1
BIN := $(VENV)/bin
SOURCES := $(shell find hf_seq2seq recipes -name '*.py')
INSTALL := $(BIN)/pip install --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint pytest format clean
.DELETE_ON_ERROR:

demo: $(DEMO)/.trained
	@printf '%s\n' $(DEMO_WORDS) >$(DEMO)/words.txt
	$(BIN)/hf-seq2seq generate $(DEMO) --input-file $(DEMO)/words.txt --output-file $(DEMO)/pronunciations.txt
	@echo "Words that CMUdict does not have:"
	@paste $(DEMO)/words.txt $(DEMO)/pronunciations.txt
	@echo "Model:        $(DEMO)"
	@echo "Model card:   $(DEMO)/README.md"
	@echo "Loss picture: $(DEMO)/loss.png"

$(DEMO)/.trained: recipes/configs/cmudict.yaml $(SOURCES) | $(VENV)/.run-stamp
	$(BIN)/hf-seq2seq train --config $< --output-dir $(DEMO) --overwrite-output-dir
	touch $@

# The linters, which use one core, run beside the tests.
test: $(VENV)/.test-stamp
	@$(MAKE) --jobs 2 lint pytest

pytest: $(VENV)/.test-stamp
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

lint: $(VENV)/.test-stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.test-stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.venv-stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: $(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

# What it takes to run; a stamp newer than both files says that nothing needs to be installed.
$(VENV)/.run-stamp: pyproject.toml constraints.txt $(VENV)/.venv-stamp
	$(INSTALL) --editable .
	touch $@

$(VENV)/.test-stamp: pyproject.toml constraints.txt $(VENV)/.venv-stamp
	$(INSTALL) --editable '.[test,dev]'
	touch $(VENV)/.run-stamp $@

# Build products and caches, then the environment. What was trained in outputs/ stays.
clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find $(wildcard hf_seq2seq recipes tests benchmarks) -name __pycache__ -prune -exec rm -rf {} +
