# Two commands for everybody: `make demo` shows the program at work, `make test` proves it.
# The rest: `make check` (lint, types, pure tests), `make test-long` (rare peers), `make bench`,
# `make clean`.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
# Exact versions with their hashes, then trayconnect itself, for which there is no hash.
define INSTALL
@echo "Installing $$(grep -c == $<) packages in $(VENV), with their hashes: 1 to 5 minutes, once …"
@$(PIP) --require-hashes --requirement $<
@echo 'Installing trayconnect itself …'
@$(PIP) --no-deps --no-build-isolation --editable .
endef

.PHONY: demo test test-long test-windows test-windows-unit deb setup-exe dmg test-deb test-setup-exe check lint types types-win32 types-darwin imports unit lock system-packages python-peers bench clean help

help:
	@sed -n '1,3s/^# //p' Makefile

demo: $(VENV)/.demo
	$(BIN)/trayconnect demo $(ARGS)

test: system-packages $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs 2 types types-win32 types-darwin lint imports
	@PYTHON=$(BIN)/python .ci/all-tests $(ARGS)

# Rare peers and tests of minutes; many examples of every property that hypothesis tests.
test-long: system-packages $(VENV)/.dev python-peers
	@PYTHON=$(BIN)/python .ci/all-tests -m 'long or hypothesis' --hypothesis-profile thorough $(ARGS)

check: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs 2 types types-win32 types-darwin lint imports unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/zizmor --quiet --offline --persona pedantic .github/workflows

# Each system has a cache of its own: mypy would empty a shared one.
types: $(VENV)/.dev
	$(BIN)/mypy

types-win32 types-darwin: types-%: $(VENV)/.dev
	$(BIN)/mypy --platform $* --cache-dir .mypy_cache/$* trayconnect tests/unit

imports: $(VENV)/.dev
	$(BIN)/lint-imports

unit: $(VENV)/.dev
	$(BIN)/python -m pytest --quiet --numprocesses auto --dist loadfile tests/unit

test-windows: $(VENV)/.dev
	@.ci/system-packages windows
	@$(BIN)/python -m tests.windows.build
	@$(BIN)/python -m pytest --numprocesses 3 --dist load tests/windows $(ARGS)

# Takes 3 to 10 minutes more.
test-windows-unit: $(VENV)/.dev
	@.ci/system-packages windows
	@$(BIN)/python -m tests.windows.build
	@$(BIN)/python -m tests.windows.unit $(ARGS)

# The package for Debian and Ubuntu, the installer for Windows and the image for a Mac, in dist/.
deb:
	@PYTHON=$(PYTHON) installers/linux/make-deb

setup-exe: $(VENV)/.dev
	@.ci/system-packages setup-exe
	@$(BIN)/python -m installers.windows.build $(ARGS)

dmg:
	@PYTHON=$(PYTHON) installers/macos/make-dmg

# In namespaces of its own, so that its mounts and processes end with it.
test-deb: $(VENV)/.dev
	@[ "$$(id -u)" = 0 ] || { echo "make test-deb needs root: it installs packages in Debians of its own"; exit 1; }
	@.ci/system-packages deb
	@PYTHON=$(PYTHON) unshare --mount --pid --fork --mount-proc --kill-child \
		$(BIN)/python -m pytest --numprocesses 0 --timeout 3600 -p no:randomly tests/deb $(ARGS)

test-setup-exe: setup-exe
	@$(BIN)/python -m pytest --numprocesses 0 tests/setup_exe

# ARGS="--rounds 9 --only far", ARGS=--page, ARGS=--help
bench: $(VENV)/.dev
	@.ci/system-packages bench
	@$(BIN)/python -m tests.bench $(ARGS)

lock:
	@.ci/lock $(ARGS)

system-packages:
	@.ci/system-packages

python-peers: | $(VENV)/.made
	@PYTHON=$(BIN)/python .ci/python-peers

$(VENV)/.demo: .ci/constraints-demo.txt pyproject.toml | $(VENV)/.made
	$(INSTALL)
	@touch $@

$(VENV)/.dev: .ci/constraints.txt pyproject.toml | $(VENV)/.made
	$(INSTALL)
	@touch $@ $(VENV)/.demo

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'trayconnect needs Python 3.11 or newer: make PYTHON=python3.12 …'; exit 1; }
	@echo 'Making the virtual environment $(VENV) …'
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo 'No virtual environment: on Debian and Ubuntu, apt-get install python3-venv'; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) .venv-peers .windows .mypy_cache .ruff_cache .pytest_cache .hypothesis .deb-roots build dist
