# The project's commands; `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help venv demo unit test image package sbom notes verify check bench bench-tools fuzz clean generate golden lock rehearsal lint typecheck

# The first Python that is new enough; `make PYTHON=/path/to/python3.12 ...` names another.
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$name && break; done)
endif
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE := 1

# auto: one short pull decides; registry: the user's engine pulls, no root; build: all from Debian, Go and PyPI, as root.
export IMAGES ?= auto
# Options for pytest, e.g. make test PYTEST='-k test_sse -x'
PYTEST ?=
# An edge whose tests on the cluster run alone.
EDGE ?=
# Processes of pytest side by side. Most tests wait most of the time: two cores keep up with four.
LANES ?= 4
# 1: the thousand healthy streams and every example of the properties instead of smaller draws; takes the machine for itself.
export FULL ?=
REHEARSAL ?=

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## Make .venv from the lock file (about 30 s, then at once)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m hack.venv

demo: venv ## Cluster, ingress-nginx, operator, a real vLLM; then watch it stream
	@$(BIN)/python -m tests.cluster.demo

unit: venv ## Every test that needs no cluster, no root and no build (seconds)
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 -m "not apiserver" tests/unit tests/golden tests/loop tests/fuzz $(PYTEST)

test: venv ## Every test, those on the cluster too (EDGE=envoy-gateway: of this edge on the cluster alone)
	@$(BIN)/python -m pytest -n $(LANES) $(if $(EDGE),tests/e2e/test_$(subst -,_,$(EDGE)).py) $(PYTEST)

# What `make image` builds; BUILD and BASE, where they are set, replace the images that the Dockerfile starts from.
IMAGE ?= streaming-operator:dev
export BUILD BASE

image: venv ## The operator's image IMAGE from the Dockerfile; IMAGES=build: without a registry, as root on Debian
	@$(BIN)/python -m hack.release image $(if $(filter build,$(IMAGES)),--local-bases) $(IMAGE)

# Where the image will be that the packaged chart names, such as ghcr.io/OWNER.
export REGISTRY

package: venv ## Wheel, source archive, chart and their checksums into dist/
	@$(BIN)/python -m hack.release package

sbom: venv ## The locked dependencies as CycloneDX into dist/
	@$(BIN)/python -m hack.release sbom

notes: venv ## What CHANGELOG.md says of this version
	@$(BIN)/python -m hack.release notes

verify: venv ## Whether everything names the version of TAG (make verify TAG=v1.2.3)
	@$(BIN)/python -m hack.release verify $(TAG)

check: lint typecheck ## Lint, types, import arrows, generated files
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m hack.generate --check
	@$(BIN)/python -m hack.workflows

lint: venv ## Ruff, rules and format
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/ruff format --quiet --check

typecheck: venv ## mypy --strict
	@$(BIN)/mypy

bench: venv ## The probe against packets on the wire; the operator against a bare loop of writes; takeovers
	@$(BIN)/python -m tests.bench

bench-tools: venv ## The probe beside vllm bench serve, guidellm and aiperf (installs them once: 4 GB)
	@$(BIN)/python -m tests.bench tools

fuzz: venv ## Any bytes into the probe's parsers for FUZZ_SECONDS (60)
	@$(BIN)/python -m tests.fuzz

generate: venv ## Write the CRD, the plain manifests and docs/conditions.md from the code
	@$(BIN)/python -m hack.generate

golden: venv ## Write the golden files from the renderer; read the diff before you commit it
	@GOLDEN=write $(BIN)/python -m pytest -q tests/golden

lock: venv ## Resolve the dependencies anew into the two lock files
	@$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes --upgrade --python-version 3.11 \
		pyproject.toml --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes --upgrade --python-version 3.11 \
		--extra codings --group dev pyproject.toml --output-file requirements-dev.lock

# make rehearsal REHEARSAL='--release trixie --commands "make demo"'
rehearsal: venv ## All that needs no cluster, in a bare Debian 12 and 13; REHEARSAL=--commands: both commands, cold
	@$(BIN)/python -m hack.rehearsal $(REHEARSAL)

clean: ## Remove the cluster and what was started for it; the cache stays
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	@$(PYTHON) -m tests.cluster clean
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
	@echo "kept: built images and tools in $${STREAMING_CACHE:-$$HOME/.cache/streaming-operator} (rm -rf it to remove those too)"
