# `make demo` and `make test` do all their own set-up. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := core plugins/canvas plugins/moodle plugins/blackboard plugins/classroom
EDITABLE := $(foreach package,$(PACKAGES),-e $(package))
PROJECTS := $(foreach package,$(PACKAGES),$(package)/pyproject.toml)
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test check fix docs lock bench torture browser clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.run ## the host and a simulated campus on this machine; open what it prints
	@$(BIN)/ltihost demo

test: check browser ## all checks and all tests, on SQLite and PostgreSQL, in a real browser
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --junitxml build/tests.xml $(ARGS)

check: $(VENV)/.dev ## lint, format, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(VENV)/.dev ## let the tools mend what they can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.dev ## write the generated parts of the documentation again
	@$(BIN)/python -m docs.generate

bench: $(VENV)/.dev ## measure launches, scores and rosters against a peer and a floor
	@$(BIN)/python benchmarks/run.py launches --database both
	@$(BIN)/python benchmarks/run.py exam
	@$(BIN)/python benchmarks/run.py scores
	@$(BIN)/python benchmarks/run.py roster
	@$(BIN)/python benchmarks/run.py intake

torture: $(VENV)/.dev browser ## the long tests
	@$(BIN)/python -m pytest -m torture -n $(WORKERS) -o timeout=1800

browser: $(VENV)/.dev
	@$(BIN)/python tests/find_browser.py

lock: $(VENV)/.dev ## resolve the requirements again
	@$(BIN)/python -m pip install --quiet uv
	@for name in run dev; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url requirements/$$name.in -o requirements/$$name.txt; done

clean: ## remove what the other targets made
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit("ltihost needs Python 3.11 or newer; run `make PYTHON=python3.12 ...`" if sys.version_info < (3, 11) else 0)'
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/run.txt $(PROJECTS)
	@echo "Installing what the host needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
