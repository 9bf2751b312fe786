# Every target sets up what it needs. A bare Debian machine with Python 3.11 or later and root is enough.
SHELL := /bin/bash
PYTHON ?= python3
export PYTHON
BIN := .venv/bin

.PHONY: help setup demo test e2e failures failures-short bench lint clean

help: ## Say what can be made.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 24

setup: ## Make .venv with onepeer and the tools of its tests.
	@scripts/setup

demo: setup ## Show one neighbor line at work, on a real router in network namespaces.
	@$(BIN)/python -m tests.lab.demo

test: lint ## Run all tests, with real routers in network namespaces.
	@scripts/debian gcc libc6-dev prometheus chromium
	@$(BIN)/pytest

e2e: setup ## Run the stories of a cluster: a real API server, MetalLB's own binaries, FRR. The first run builds them.
	@scripts/e2e

failures: setup ## Break everything in turn, count what is lost, and write docs/failures.md. Takes an hour or two.
	@scripts/debian frr frr-pythontools bird2 iproute2 etcd-server curl openssl iputils-ping nftables
	@$(BIN)/python -m tests.failures --write

failures-short: setup ## Break everything once, on one router.
	@$(BIN)/pytest tests/failures

lint: setup ## Check form, types, and that imports follow the way of the data.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## Measure Onepeer beside BIRD, FRR, OpenBGPD and GoBGP, and write docs/benchmarks.md.
	@$(BIN)/python -m tests.bench --write docs/benchmarks.md

clean: ## Take away .venv and caches.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
