# Every target first sees to the environment (tools/setup.py), which costs next to nothing once it is built.
# The logic is in tools/, so that this file stays the same for GNU make 3.81 (macOS), sh and Windows' cmd.

.PHONY: help setup lab test test-notebooks test-handouts run notebooks claims handouts slides bench lock lint clean
.DEFAULT_GOAL := help

# The Python that builds the environment: PYTHON=... if given, else the first that is new enough, else the first there
# is (it then says what is wrong).
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
ifneq ($(strip $(PYTHON)),)
BASE := $(strip $(PYTHON))
else ifeq ($(OS),Windows_NT)
BASE := python
else
BASE := $(shell for p in $(CANDIDATES); do "$$p" tools/setup.py --suitable >/dev/null 2>&1 && echo "$$p" && exit; done; \
	for p in $(CANDIDATES); do command -v "$$p" >/dev/null 2>&1 && echo "$$p" && exit; done)
endif
NO_PYTHON := No Python found. Install Python 3.11 or newer, or name one: PYTHON=/path/to/python3 make test
IN_ENVIRONMENT = @$(if $(BASE),"$(BASE)" tools/setup.py,$(error $(NO_PYTHON)))

help:
	@echo "make lab              build the environment, find the data, open JupyterLab on the first notebook"
	@echo "make test             every test; every notebook is re-executed and its text compared"
	@echo "make test-notebooks   only the notebooks, and the tests that depend on the data"
	@echo "make test-handouts    what make handouts gives away is executed: every check must say \"not solved yet\""
	@echo "make run              execute the whole series into build/executed/   (ONLY=03 for one)"
	@echo "make notebooks        execute it in place, in the form that is committed   (ONLY=03 for one)"
	@echo "make claims           renew the tables of claims in README.md and docs/claims.md from the notebooks"
	@echo "make handouts         the notebooks without solutions and outputs, and the lecturer's copies, into build/"
	@echo "make slides           a deck of slides from each notebook, which needs no network, into build/slides/"
	@echo "make bench            measure what is promised to be fast, into build/benchmarks.md   (ONLY=\"layers fit\")"
	@echo "make lint             ruff check and ruff format --check, notebooks included"
	@echo "make lock             renew requirements.txt from pyproject.toml"
	@echo "make setup            only build the environment"
	@echo "make clean            remove what the other targets wrote; .venv and data stay"

setup:
	$(IN_ENVIRONMENT)

lab:
	$(IN_ENVIRONMENT) tools/lab.py $(ARGS)

test:
	$(IN_ENVIRONMENT) tools/test.py

test-notebooks:
	$(IN_ENVIRONMENT) tools/test.py --notebooks

test-handouts:
	$(IN_ENVIRONMENT) tools/test.py --handouts

run:
	$(IN_ENVIRONMENT) tools/run.py $(ONLY)

notebooks:
	$(IN_ENVIRONMENT) tools/run.py --in-place $(ONLY)
	$(IN_ENVIRONMENT) tools/figure.py
	$(IN_ENVIRONMENT) tools/claims.py

claims:
	$(IN_ENVIRONMENT) tools/claims.py

handouts:
	$(IN_ENVIRONMENT) tools/handouts.py $(ARGS) $(ONLY)

slides:
	$(IN_ENVIRONMENT) tools/slides.py $(ONLY)

bench:
	$(IN_ENVIRONMENT) tools/bench.py $(ONLY)

lock:
	$(IN_ENVIRONMENT) tools/lock.py

lint:
	$(IN_ENVIRONMENT) tools/lint.py

clean:
	@$(if $(BASE),"$(BASE)" tools/clean.py,$(error $(NO_PYTHON)))
