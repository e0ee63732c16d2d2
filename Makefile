# Every target but `clean` goes through tools/setup.py, which sees to the environment (next to nothing once it is built)
# and then runs `python -m tools.NAME` in it. The logic is there, so that this file stays the same for GNU make 3.81 (macOS), sh and
# Windows' cmd.

.PHONY: help setup lab test test-notebooks test-handouts test-browser proofs run notebooks claims broken handouts slides site bench study study-check notebook move review lint lock clean
.DEFAULT_GOAL := help

# The Python that builds the environment: PYTHON=... if given, else the first that is new enough, else the first there
# is (it then says what is wrong).
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
ifneq ($(strip $(PYTHON)),)
BUILDER := $(strip $(PYTHON))
else ifeq ($(OS),Windows_NT)
BUILDER := python
else
BUILDER := $(shell for p in $(CANDIDATES); do "$$p" tools/setup.py --suitable >/dev/null 2>&1 && echo "$$p" && exit; done; \
	for p in $(CANDIDATES); do command -v "$$p" >/dev/null 2>&1 && echo "$$p" && exit; done)
endif
NO_PYTHON := No Python found. Install Python 3.11 or newer, or name one: PYTHON=/path/to/python3 make test
TOOL = @$(if $(BUILDER),"$(BUILDER)" tools/setup.py,$(error $(NO_PYTHON)))

help:
	@echo "make lab              build the environment, find the data, open JupyterLab on the first notebook"
	@echo "make test             the tests; every notebook is re-executed and its text compared"
	@echo "make test-notebooks   only the notebooks, and the tests that depend on the data"
	@echo "make test-handouts    what make handouts gives away is executed: every check must say \"not solved yet\""
	@echo "make test-browser     the decks, the site, what can be touched and JupyterLab, opened in a Chromium or Chrome"
	@echo "make proofs           all tests with their coverage, including those that take long or need a browser"
	@echo "make run              execute the whole series into build/executed/   (ONLY=03 for one)"
	@echo "make notebooks        execute it in place, in the form that is committed   (ONLY=03 for one)"
	@echo "make claims           measure all claims on both data sets, record them, renew their tables   (ONLY=03 for one)"
	@echo "make broken           break each claim's experiment on purpose: its verdict must change   (ONLY=03 for one)"
	@echo "make handouts         the notebooks without solutions and outputs, and the lecturer's copies, into build/"
	@echo "make slides           a deck of slides from each notebook, which needs no network, into build/slides/   (ONLY=03; PLAN=lecture)"
	@echo "make site             the course as a website that needs no network, into build/site/"
	@echo "make bench            measure what is promised to be fast, into build/benchmarks.md   (ONLY=\"layers steps\")"
	@echo "make study            make what is missing of the long study, for hours; it can be stopped   (ONLY=, SEEDS=, TIER=gpu, SCHEDULER=tcp://…, ARGS=--list)"
	@echo "make study-check      train the first epoch of three of its records once more, and compare (TIER=gpu, ARGS=...)"
	@echo "make notebook         lay a new lesson, notebook and folder   (NAME=\"Does it help?\")"
	@echo "make move             give a notebook another number, in its name, links and texts   (FROM=09 TO=10)"
	@echo "make review           what changed in the notebooks since BASE, without their outputs   (BASE=main)"
	@echo "make lint             ruff check and ruff format --check, notebooks included; the types of the kit"
	@echo "make lock             renew requirements.txt from pyproject.toml"
	@echo "make setup            only build the environment"
	@echo "make clean            remove what the other targets wrote; .venv and data stay"

setup:
	$(TOOL)

lab:
	$(TOOL) lab $(if $(ONLY),--only "$(ONLY)") $(ARGS)

test:
	$(TOOL) test

test-notebooks:
	$(TOOL) test --notebooks

test-handouts:
	$(TOOL) test --handouts

test-browser:
	$(TOOL) test --browser

proofs:
	$(TOOL) test --proofs

run:
	$(TOOL) run $(ONLY)

notebooks:
	$(TOOL) run --in-place $(ONLY)
	$(TOOL) figure
	$(TOOL) claims

claims:
	$(TOOL) claims --record $(ARGS) $(ONLY)

broken:
	$(TOOL) broken $(ONLY)

handouts:
	$(TOOL) handouts $(ARGS) $(ONLY)

slides:
	$(TOOL) slides $(if $(PLAN),--plan $(PLAN)) $(ONLY)

site:
	$(TOOL) site $(ARGS)

bench:
	$(TOOL) bench $(ONLY)

study:
	$(TOOL) study $(if $(TIER),--tier $(TIER)) $(if $(SCHEDULER),--scheduler $(SCHEDULER)) $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS) $(ONLY)

study-check:
	$(TOOL) study --check 3 $(if $(TIER),--tier $(TIER)) $(ARGS)

notebook:
	$(TOOL) lesson new

move:
	$(TOOL) lesson move $(FROM) $(TO)

review:
	$(TOOL) review "$(or $(BASE),main)"

lint:
	$(TOOL) test --lint

lock:
	$(TOOL) lock $(ARGS)

clean:
	@$(if $(BUILDER),"$(BUILDER)" tools/clean.py,$(error $(NO_PYTHON)))
