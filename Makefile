# Everything runs in a private .venv that honours uv.lock; Python >= 3.11, make and git are all it needs.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: help demo test check format lock bench fuzz wheel release release-trial clean

help:
	@echo "make demo    the main job on a sample organisation"
	@echo "make test    all tests, with coverage"
	@echo "make check   lint, types, migrations"
	@echo "make bench   the benchmarks (minutes)"
	@echo "make fuzz    what reads rules, logs and bounces under fire (SECONDS=60 each)"
	@echo "make release a tag, an sdist and a wheel that was tried; make release-trial keeps nothing"

demo: $(VENV)/.ready
	$(RUN)/safelist demo

# Twice as many as there are processors: for half of their time, tests wait for somebody else.
# A file's tests stay together, and with them the Postfix, the filters or the browser that they share. Files come in
# their order: those with few tests, which xdist takes for short and puts at the end, are the longest.
WORKERS := $(shell expr 2 '*' `getconf _NPROCESSORS_ONLN`)
# Each of them compiles the tests for nine seconds, unless what one has compiled is kept for the next run.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.ready
	$(RUN)/coverage erase
	$(RUN)/coverage run -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
	$(RUN)/coverage combine --quiet
	$(RUN)/coverage report

check: $(VENV)/.ready
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/alembic check

format: $(VENV)/.ready
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

lock: $(VENV)/.ready
	$(RUN)/uv lock --upgrade

bench: $(VENV)/.ready
	for script in benchmarks/*.py; do $(RUN)/python $$script || exit 1; done

SECONDS := 60
fuzz: $(VENV)/.ready
	for script in $(filter-out fuzz/mutation.py,$(wildcard fuzz/*.py)); do $(RUN)/python $$script --seconds $(SECONDS) || exit 1; done

wheel: $(VENV)/.ready
	$(RUN)/uv build --quiet --wheel --out-dir dist

release: $(VENV)/.ready
	packaging/release

release-trial: $(VENV)/.ready
	packaging/release --dry-run

clean:
	rm -rf $(VENV) dist build

$(VENV)/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "safelist needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "this Python has no venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check uv
	$(RUN)/uv sync --locked --inexact --quiet
	touch $@
