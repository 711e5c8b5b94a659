# Everything is set up on the way: a virtual environment in .venv, and nothing else on the machine.
# Paths are relative throughout, so that the checkout may lie under a path with a space in it.

PYTHON ?= python3
# Of tests, at once; more need a core each, as many of them watch the clock.
JOBS   ?= 2
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
# Which tests; all of them if it is left out.
TESTS  ?=
# A file's tests stay together, as they share processes; the long files come first.
TEST    = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo run test lint types protos compiled bench clean soak

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*  ## /  make \1\t/p' Makefile | expand -t 16

demo: $(READY)  ## send requests from many countries through a real Envoy, and judge the answers
	@$(BIN)/python -m demo

run: $(READY)  ## keep the demonstration running and print curl lines to try, until Ctrl-C
	@$(BIN)/python -m demo run

test: $(READY)  ## run every test, those against the real Envoy included
	$(TEST)

soak: $(READY)  ## the faults of `make test` for longer, and what takes long: about an hour
	REGIONGATE_SOAK=1 $(BIN)/python -m pytest -s -m 'soak or not soak' tests/integration/faults tests/integration/workers tests/integration/keys/test_million.py

lint: $(READY)  ## check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)  ## check types: package, demonstration and tests
	$(BIN)/mypy server/regiongate bench demo protos tests
	$(BIN)/mypy deploy/compile.py

protos: $(READY)  ## generate the message classes from protos/
	$(BIN)/python protos/generate.py server/regiongate/_pb

compiled: $(READY)  ## compile the way of a Check to C, in build/compiled, and run every test on it
	$(BIN)/python deploy/compile.py server build/compiled
	PYTHONPATH="$(CURDIR)/build/compiled" $(TEST)

bench: $(READY)  ## measure; after `make compiled` both kinds
	$(BIN)/python -m bench

clean:  ## remove the environment, the downloads and the caches
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

# Newer than pyproject.toml when what that names is installed.
$(READY): pyproject.toml $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@# xds-protos, which the tests hold our messages against, has old ones of OpenTelemetry's in it.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
	  "opentelemetry-proto==$$($(BIN)/python -c 'from importlib.metadata import version as v; print(v("opentelemetry-proto"))')"
	@touch $@

$(VENV)/pyvenv.cfg:
	@command -v "$(PYTHON)" >/dev/null \
	  || { echo "make: $(PYTHON) is missing: install Python 3.11 or newer, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) is $$("$(PYTHON)" -V 2>&1), and Python 3.11 or newer is needed: say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make: $(PYTHON) has no venv module: install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV): a minute or three, once"
	"$(PYTHON)" -m venv --clear $(VENV)
