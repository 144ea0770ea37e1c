# The daily verbs. All of them build .venv first, from pinned and hashed packages, if need be.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
COMPILE := $(VENV)/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-annotate --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	--resolver=backtracking

.PHONY: help serve test check sim fuzz bench docs lock clean

help:
	@echo "make serve          start Pitboss on 127.0.0.1:8080, with its own PostgreSQL in ./data"
	@echo "make serve WORKERS=2   the same with two processes, and a Redis that they meet over"
	@echo "make test           run every test"
	@echo "make check          lint, formatting, types, import rules, tidiness"
	@echo "make sim SEED=7     simulate one seed; without SEED, 1,000 worlds of each kind"
	@echo "make fuzz SEED=7    fuzz the parsers and live servers for ten minutes"
	@echo "make bench          measure everything, briefly: about ten minutes"
	@echo "make docs           write docs/configuration.md and docs/errors.md from the code"
	@echo "make lock           pin the packages of requirements*.in anew"
	@echo "make clean          remove .venv and caches; ./data stays"

serve: $(VENV)/.runtime
	@exec $(RUN) -m server serve $(if $(WORKERS),--workers $(WORKERS))

# Most tests wait for something: four files at a time keep two cores busy, in an order in which no
# slow one comes last. They start hundreds of processes, which find their modules compiled, also
# where the environment would forbid that.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.development
	$(RUN) -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.development
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m pytest --quiet tests/test_tidy.py

sim: $(VENV)/.development
	$(RUN) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds 1000)

fuzz: $(VENV)/.development
	$(RUN) -m tests.fuzz --seconds 600 $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.development
	$(RUN) -m benchmarks.bets --quick
	$(RUN) -m benchmarks.compare --quick
	$(RUN) -m benchmarks.budget
	$(RUN) -m benchmarks.echo --quick
	$(RUN) -m benchmarks.connections --quick
	$(RUN) -m benchmarks.fanout --quick
	$(RUN) -m benchmarks.storm --quick
	$(RUN) -m benchmarks.crash --quick
	$(RUN) -m benchmarks.recovery --quick
	$(RUN) -m benchmarks.cluster --quick
	$(RUN) -m benchmarks.soak --quick

docs: $(VENV)/.runtime
	$(RUN) -m server.configuration
	$(RUN) -m server.documents.errors_page

lock: $(VENV)/.development
	$(COMPILE) --output-file requirements.txt requirements.in
	$(COMPILE) --constraint requirements.txt --output-file requirements-dev.txt requirements-dev.in

clean:
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf tests/javascript/node_modules benchmarks/peers/node/node_modules
	find actors benchmarks protocol server storage tests -name __pycache__ -prune -exec rm -rf {} +

# The stamp is newer than the list it was installed from, so a second start installs nothing. The
# `pitboss` command needs no build: a path file makes the packages importable from anywhere.
$(VENV)/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("Pitboss needs Python 3.11 or newer: \
	make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "Installing Pitboss into $(VENV), once ..."
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@echo "$(CURDIR)" > "$$($(RUN) -c 'import site; print(site.getsitepackages()[0])')/pitboss.pth"
	@printf '#!/bin/sh\nexec "$(CURDIR)/$(RUN)" -m server "$$@"\n' > $(VENV)/bin/pitboss
	@chmod +x $(VENV)/bin/pitboss
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what tests and checks need into $(VENV), once ..."
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-dev.txt
	@touch $@
