# make run | test | check | bench | soak | services | servers-clients | lock: the same commands everywhere; each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# vn.py asks for Qt only for its desktop windows: the lock is complete without it, so nothing is resolved here.
INSTALL := install --quiet --no-deps --require-hashes

.PHONY: run install dev test check bench soak services servers-clients docs lock clean
.DEFAULT_GOAL := run

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("VnPy Core needs Python 3.11 or newer; call make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked packages (vnpy_riskmanager is compiled: about a minute)"
	$(PIP) $(INSTALL) -r requirements.lock
	$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.servers: requirements-servers.lock $(VENV)/.installed
	$(PIP) $(INSTALL) -r requirements-servers.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) $(INSTALL) -r requirements-dev.lock
	@touch $@

.venv-bench/.installed: requirements-bench.lock pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check $(INSTALL) -r requirements-bench.lock
	.venv-bench/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --editable .
	@touch $@

install: $(VENV)/.installed

dev: $(VENV)/.dev

# The clients of the servers that a configuration may name: every extra of pyproject.toml.
servers-clients: $(VENV)/.servers

run: install
	@exec $(BIN)/vnpy-core run $(ARGS)

test: dev
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv-bench/.installed
	.venv-bench/bin/python -m bench $(ARGS)

# An hour of everything at once, with faults: make soak ARGS="--minutes 3 --seed 7".
soak: dev
	$(BIN)/python -m bench.soak $(ARGS)

# The programs that the tests start private instances of (Debian, Ubuntu). policy-rc.d keeps the packages from starting
# services of the system; one that is there already is left as it is.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
POLICY := /usr/sbin/policy-rc.d
services:
	$(SUDO) apt-get update -q
	@test -e $(POLICY) || { printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee $(POLICY) >/dev/null; \
		$(SUDO) chmod +x $(POLICY); ours=1; }; \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		mariadb-server postgresql redis-server nats-server influxdb openssl prometheus; \
	status=$$?; test -z "$$ours" || $(SUDO) rm $(POLICY); exit $$status

docs: install
	$(BIN)/python docs/write_configuration.py
	$(BIN)/python docs/write_order_refusals.py
	$(BIN)/python docs/write_metrics.py
	PYTHONPATH=. $(BIN)/python docs/write_performance.py

UV := $(BIN)/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url pyproject.toml

lock: $(VENV)/bin/python
	$(PIP) install --quiet --upgrade uv
	$(UV) --output-file requirements.lock
	$(UV) --output-file requirements-servers.lock --constraints requirements.lock --all-extras
	$(UV) --output-file requirements-dev.lock --constraints requirements-servers.lock --group dev --all-extras
	$(UV) --output-file requirements-bench.lock --constraints requirements-servers.lock --group bench --all-extras

clean:
	rm -rf $(VENV) .venv-bench dist build
