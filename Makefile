# Every verb does its own set-up; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
ARGS ?=

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# set by `make demo ARGS="…"`, `make test ARGS="…"`

.PHONY: help demo test check faults bench stack stack-test stack-down credentials tls pictures pi install-test arm64 train clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(VENV)/.demo ## a fleet, the gateway and what it caught, in two minutes
	@$(PYTHON) -m edgefleet demo $(ARGS)

test: $(VENV)/.dev ## every test that can run here; says what was skipped and what it lacks
	@deploy/test-servers.sh
	@$(PYTHON) -m pytest $(ARGS)

check: $(VENV)/.dev ## ruff and mypy, strict
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

faults: $(VENV)/.dev ## kill -9 and every crash point, the long set; prints the table of docs/reliability.md
	@deploy/test-servers.sh
	@EDGEFLEET_CRASH_STEP=1 EDGEFLEET_FAULTS_LONG=1 $(PYTHON) -m pytest -q tests/faults
	@$(PYTHON) -m tests.faults $(ARGS)
	@$(UV) pip install --quiet --python $(PYTHON) atheris || echo "no atheris for this machine: nothing is fuzzed"
	@! $(PYTHON) -c "import atheris" 2>/dev/null || $(PYTHON) -m tests.faults.fuzz

bench: $(VENV)/.dev ## CPU, memory and delay against the bars
	@deploy/test-servers.sh
	@$(PYTHON) -m benchmarks $(ARGS)

stack: ## Mosquitto, InfluxDB, Grafana, gateway and a simulated fleet in containers; PROFILE=pi, tls, chaos
	@PROFILE="$(PROFILE)" deploy/compose/stack.sh up

stack-test: $(VENV)/.dev ## the containers end to end: a fault fires and resolves, nobody may do what they must not
	@EDGEFLEET_STACK=1 $(PYTHON) -m pytest tests/stack -m stack $(ARGS)

stack-down: ## stop the containers; their volumes stay
	@PROFILE="$(PROFILE)" deploy/compose/stack.sh down

credentials: ## the secrets that the stack made on its first start
	@PROFILE="$(PROFILE)" deploy/compose/stack.sh credentials

tls: ## a private authority and certificates for the broker and its clients
	@deploy/tls/make.sh

pictures: $(VENV)/.dev ## pictures of every page of the console, from a seeded demo run
	@deploy/test-servers.sh
	@$(PYTHON) -m tests.console.pictures docs/pictures $(ARGS)

pi: install-test arm64 ## what a Raspberry Pi needs and CI cannot run: as root on Debian, half an hour

install-test: ## install, upgrade and uninstall in clean Debian roots
	@deploy/raspberry-install-test.sh

arm64: | $(UV) ## the gateway's tests and one walk to an alert on arm64, emulated
	@deploy/raspberry-arm64.sh

train: $(VENV)/.train ## rebuild the four shelves and their dashboards from nothing; recorded data in EDGEFLEET_DATA
	@$(PYTHON) -m edgefleet models train --all --ablate $(ARGS)
	@for domain in agriculture industrial retail traffic; do \
		$(PYTHON) -m edgefleet models evaluate $$domain --recorded --card || exit; done
	@$(PYTHON) -m edgefleet grafana build

clean: ## remove what the verbs above made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# One virtual environment, from the lock file. The stamps say which extras are in it; extras are only ever added.
$(UV):
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.demo: uv.lock pyproject.toml | $(UV)
	$(UV) sync --quiet --frozen --inexact --no-install-project --extra demo --extra console
	@touch $@

$(VENV)/.dev: uv.lock pyproject.toml | $(UV)
	$(UV) sync --quiet --frozen --inexact --no-install-project --extra demo --extra grafana --extra dev
	@touch $@

$(VENV)/.train: uv.lock pyproject.toml | $(UV)
	$(UV) sync --quiet --frozen --inexact --no-install-project --extra demo --extra console --extra grafana --extra dev --extra train
	@touch $@
