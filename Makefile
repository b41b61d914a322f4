# make run   set up on the first call, then replay the flagship campaign (ARGS="..." is passed on)
# make test  set up the same way, then lint, types and tests
# The rest: setup, model, lint, types, wheel-check, clean

VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
FLOORS := scenarios tools models agent training vetting console

# What is installed depends on these two files alone; the stamp carries their checksum, so a checkout that only
# touches dates installs nothing.
KEY := $(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
RUNTIME := $(VENV)/.installed-$(KEY)
DEV := $(VENV)/.installed-dev-$(KEY)

.PHONY: run test setup model lint types unit wheel-check clean

run: model
	@$(BIN)/turncoat run $(ARGS)

test: lint types unit

setup: $(RUNTIME)

# Quick when the model is there; it goes to TURNCOAT_HOME, or else to the user's cache folder.
model: $(RUNTIME)
	@$(BIN)/turncoat models pull >&2

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Type checkers cannot follow an editable install's finder: they, and editors, get turncoat/<floor> as symlinks.
types: $(DEV)
	@mkdir -p typings/turncoat
	@for floor in $(FLOORS); do ln -sfn ../../$$floor typings/turncoat/$$floor; done
	$(BIN)/mypy typings/turncoat

unit: $(DEV) model
	$(BIN)/python -m pytest $(ARGS)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(DEV): | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(RUNTIME) $@

# The sdist, the wheel made from it, an empty environment and a folder that knows nothing of this checkout.
wheel-check: $(DEV) model
	.ci/wheel-check $(BIN)/python

clean:
	rm -rf $(VENV) typings build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
