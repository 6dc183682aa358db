# Everything runs from .venv, which is made once from the hash-locked requirements.
SHELL := /bin/sh
PYTHON ?= python3
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: demo test test-long lint lock clean help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: .venv/runtime ## the main job, end to end, into demo/
	$(PY) -m cli.main demo

test: .venv/dev ## lint, types, layers and every test that fits in ten minutes
	$(MAKE) lint
	$(PY) -m pytest -n 2 --dist loadscope -m "not long"

test-long: .venv/dev ## the long tests: crashes, races and random histories by the thousand
	$(PY) -m pytest -m "long" --timeout 7200

lint: .venv/dev ## ruff, mypy and the layers of the house
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

lock: .venv/dev ## resolve the dependencies anew into requirements/*.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt

clean: ## remove what was made: .venv, demo/, caches
	rm -rf .venv demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "pix2pix needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; run: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	touch .venv/python

.venv/runtime: .venv/python requirements/runtime.txt pyproject.toml
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch .venv/runtime

.venv/dev: .venv/runtime requirements/dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch .venv/dev
