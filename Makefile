# Every target makes its own environment in .venv; only Python 3.11+, make and git are needed.
PYTHON ?= python3
BIN := .venv/bin
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0
# Compiling all tests takes ten seconds in each of the processes that run them: keep what is compiled.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all check-code run-tests test-deployment coverage bench package docs clean

demo: .venv/core
	$(BIN)/memberscan demo --out memberscan-demo

# Types take one core for half a minute, so they are checked beside the tests, some of which wait for other processes.
test: .venv/all
	$(MAKE) --jobs=2 check-code run-tests

check-code: .venv/all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

run-tests: .venv/all
	$(BIN)/pytest -n 2 --dist worksteal -m 'not deployment'

# A federation of a dozen processes over TLS on loopback, and Ray clusters: a few tests, a seventh of the time of all.
test-deployment: .venv/all
	$(BIN)/pytest -n 2 -m deployment tests/federation tests/test_task_pool.py

# With libraries that write what users bring, which are large and which memberscan itself does not need, and with
# tests that take minutes.
test-all: .venv/all
	$(BIN)/python -m pip install --quiet lightning monai skops
	MEMBERSCAN_SLOW_TESTS=1 $(MAKE) test
	MEMBERSCAN_SLOW_TESTS=1 $(MAKE) test-deployment

# Measuring coverage makes the tests a quarter slower. Property tests try other examples than those of `make test`.
coverage: .venv/all
	$(BIN)/pytest -n 2 --dist worksteal --hypothesis-profile explore --cov --cov-report=term

bench: .venv/all
	$(BIN)/python -m benchmarks

# The wheel is built from the source archive, and tried in an environment of its own.
package: .venv/all
	$(BIN)/python tools/check_package.py

docs: .venv/all
	$(BIN)/sphinx-build -W --keep-going -n -q -b html docs docs/_build/html

.venv/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "memberscan needs Python 3.11 or newer"'
	$(PYTHON) -m venv .venv

.venv/core: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[federated]'
	touch $@

.venv/all: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	touch $@ .venv/core

clean:
	rm -rf .venv dist docs/_build memberscan-demo studies-out
