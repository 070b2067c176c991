# Everything starts here: `make demo` on a bare machine with Python 3.11, Java 17 and Maven is enough.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3.11
DOWNLOADS := $(or $(HEADWATER_DOWNLOADS),.headwater)
LOCKS := deploy/requirements
export PYTHON

# uv of the machine, else one of our own, hash-pinned.
UV := $(shell command -v uv || echo .venv-uv/bin/uv)
UV_READY := $(if $(filter .venv-uv/bin/uv,$(UV)),.venv-uv/bin/uv)

.PHONY: help setup up down demo test chaos lint bench evaluate lock clean distclean prerequisites

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: prerequisites .venv/installed .venv-trainer/installed .venv-triton/installed $(DOWNLOADS)/tritonserver/unpacked $(DOWNLOADS)/kafka/libs/copied ## Install everything the rest needs; quick when done

up: setup ## Start the local stack, or what of it is missing
	@.venv/bin/headwater up

down: .venv/installed ## Stop the local stack, and the demo's
	@.venv/bin/headwater down
	@HEADWATER_STATE=build/demo .venv/bin/headwater down

demo: setup ## From a year of real purchases to a changed recommendation, start to end (STAY=1 leaves it running)
	@.venv/bin/python -m deploy.demo $(if $(STAY),--stay)

test: setup ## All tests, on the real stack (LANES="streams chaos" for some)
	@$(MAKE) --jobs=3 --keep-going $(LANES:%=test-%)

chaos: setup ## Kill everything again and again under load, then check the whole store (CHAOS="--seed 3 --minutes 4")
	@.venv/bin/python -m tests.chaos $(CHAOS)

lint: .venv/installed ## ruff, strict mypy, bandit (AUDIT=1 also looks up known vulnerabilities of what is locked)
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/bandit --quiet --configfile pyproject.toml --recursive feature_repo streams serving trainer deploy benchmarks
	$(if $(AUDIT),.venv/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement $(LOCKS)/main.txt)

bench: setup ## Measure; BENCH="latency", "freshness", "ingest", "recovery", "rest", "similar" or "batch" for one
	@.venv/bin/headwater bench $(BENCH)

evaluate: setup ## Judge the served lists at three cuts and the scoring models, on a stack of its own (QUICK=1: one cut)
	@.venv/bin/python -m deploy.evaluation $(if $(QUICK),--quick)

lock: $(UV_READY) ## Resolve the requirement files anew (UPGRADE=--upgrade takes newer versions)
	$(COMPILE) pyproject.toml --extra main --group dev -o $(LOCKS)/main.txt
	$(COMPILE) pyproject.toml --extra trainer --group trainer-dev -c $(LOCKS)/trainer-constraints.txt --override $(LOCKS)/trainer-overrides.txt -o $(LOCKS)/trainer.txt
	$(COMPILE) pyproject.toml --extra triton -o $(LOCKS)/triton.txt
	$(COMPILE) --no-deps $(LOCKS)/tritonserver.in -o $(LOCKS)/tritonserver.txt
	$(COMPILE) --no-deps $(LOCKS)/bootstrap.in -o $(LOCKS)/bootstrap.txt

# Lanes of `make test`: tests wait more than they compute, so some pytests run side by side, the longest first, each with
# servers of its own. What needs the whole stack shares one; `rest` has whatever is in no other lane.
LANES := ingest serving streams chaos rest stack trainer
ingest := $(wildcard tests/streams/test_ingest*.py)
serving := tests/serving
serving-without := tests/serving/rest_client
streams := tests/streams
streams-without := $(ingest) tests/streams/test_docs.py
chaos := tests/chaos tests/e2e/test_trainer_service.py
stack := tests/deploy tests/e2e tests/streams/test_docs.py tests/serving/rest_client
stack-without := tests/e2e/test_trainer_service.py
trainer := tests/trainer
rest := tests
rest-without := $(sort $(ingest) $(serving) $(streams) $(chaos) $(stack) $(trainer))

test-trainer: PYTEST := .venv-trainer/bin/python -m pytest -m trainer

PYTEST := .venv/bin/python -m pytest -m "not trainer"

test-%: setup
	@$(PYTEST) -p no:cacheprovider $($*-without:%=--ignore=%) $($*) 2>&1 | sed --unbuffered 's/^/$* | /'

COMPILE = $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(UPGRADE)

clean: down ## Stop the stack and forget all it knows; downloads and environments stay
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	cd .headwater && rm -rf kafka/data kafka/server.properties redis triton offline bundles checkpoints feast logs run prometheus

distclean: clean ## Also remove downloads and environments
	rm -rf .headwater .venv .venv-trainer .venv-triton .venv-uv

prerequisites:
	@deploy/prerequisites.sh

.venv-uv/bin/uv: $(LOCKS)/bootstrap.txt | prerequisites
	@$(PYTHON) -m venv .venv-uv
	@.venv-uv/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# Each environment: exactly what its lock says, then the project itself, editable.
.venv/synced: $(LOCKS)/main.txt
.venv-trainer/synced: $(LOCKS)/trainer.txt
.venv-triton/synced: $(LOCKS)/triton.txt
.venv/synced .venv-trainer/synced .venv-triton/synced: | prerequisites $(UV_READY)
	@echo "headwater: making $(@D)"
	@test -x $(@D)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes $<
	@touch $@

.venv/installed .venv-trainer/installed .venv-triton/installed: %/installed: %/synced pyproject.toml
	@$(UV) pip install --quiet --python $(@D)/bin/python --no-deps --editable .
	@touch $@

# The wheel holds a whole Triton; unpacked beside the environments, since it wants none of its dependencies.
$(DOWNLOADS)/tritonserver/unpacked: $(LOCKS)/tritonserver.txt | .venv/installed
	@echo "headwater: unpacking Triton"
	@rm -rf $(@D).new
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --require-hashes --target $(@D).new -r $<
	@.venv/bin/python -c 'import sys, pathlib; from deploy.stack.triton import place_stub; place_stub(pathlib.Path(sys.argv[1]))' $(@D).new
	@rm -rf $(@D) && mv $(@D).new $(@D)
	@touch $@

# Maven checks what it fetches against the repository's checksums (-C: and fails on a wrong one).
$(DOWNLOADS)/kafka/libs/copied: deploy/kafka/pom.xml | prerequisites
	@echo "headwater: fetching Kafka"
	@rm -rf $(@D).new
	@mvn -B -q -C -f $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(abspath $(@D)).new
	@rm -rf $(@D) && mv $(@D).new $(@D)
	@touch $@
