# One command each: `make help` lists them. A fresh clone needs python3.11 and a package index, nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two cores and many processes: one thread each is faster than all of them fighting, and gives the same sums every time.
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench cast constraints clean

help: ## list these commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

setup: $(STAMP) ## create .venv with the pinned versions (once; again when they change)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0 setuptools
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: setup ## verify the compiled programs, then put every method through the exam
	$(BIN)/workbench programs verify
	$(BIN)/workbench exam

test: setup ## run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: setup ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

PEERS := build/bench/peers

bench: setup $(PEERS)/.installed ## measure each fast path against its naive path and its public peer
	rm -rf build/bench/rows
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done
	PYTHONPATH=benchmarks $(BIN)/python -m bench.render

# Peers are only measured against: they stay out of .venv, and run on its torch and transformers.
$(PEERS)/.installed: benchmarks/constraints.txt
	rm -rf $(PEERS)
	$(BIN)/python -m pip install --quiet --no-deps --target $(PEERS) -r $<
	touch $@

cast: setup ## record the walk through the terminal workbench, and draw the picture of the README (needs tmux)
	$(BIN)/python -m tests.terminal.walk

constraints: ## write the installed versions to constraints.txt (for maintainers)
	{ head -1 constraints.txt; $(BIN)/python -m pip freeze --all --exclude pip | grep -v -e '^-e' -e '@ file' -e '^causal' | sed 's/+cpu//'; } > constraints.new
	mv constraints.new constraints.txt

clean: ## remove the virtual environment and the caches
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
