# `make` alone lists the targets. Each installs its requirements the first time; after that it starts at once.
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := help
.PHONY: help serve check test test-all test-hosts vagrant-test lint format bench bench-engine bench-http bench-growth bench-edge bench-jobs bench-objects bench-render bench-search bench-studio bench-contest soak screenshot deploy-tools wheel collection image compose release sbom audit fuzz sample places lock clean

HOST ?= 127.0.0.1
PORT ?= 8000
MEDIA ?=
PROVIDER ?= docker
# The program that builds the container image: docker or podman.
ENGINE ?= docker
# 1: benchmarks take minutes, and measure less.
QUICK ?=
# Minutes of `make soak` (30) and, for each kind of input, of `make fuzz` (10). The kinds of `make fuzz`: files, cuts, parsers, api, or
# several of them (all); and instead of minutes, the number of files, streams to cut, or inputs of each parser.
MINUTES ?=
KIND ?=
COUNT ?=
# 1: the virtual environment runs this checkout's files, for development: no build after each change.
EDITABLE ?=
# 1: show the whole output of installers and of lint's tools.
V ?=
export V

VENV := $(shell scripts/bootstrap place)
PYTHON := $(VENV)/bin/python
STAMPS := $(VENV)/.slicer
# A folder that Apache's run user can read.
STATE := $(if $(filter 0,$(shell id -u)),/var/lib/slicer,$(HOME)/.local/share/slicer)
SAMPLE := $(STATE)/sample/show.mp3

# The checksum of every file in a built Slicer: a new one causes a build. Times of files are unreliable after a checkout.
# npm's packages follow from its lock.
SOURCES := find wsgi apache pyproject.toml hatch_build.py package.json package-lock.json .npmrc README.md LICENSE \
	-type f ! -name '*.pyc' ! -path '*/.vendor-*' ! -path 'wsgi/mp3_slicer/studio/vendor/*' -exec cksum {} +
SUM = $(shell $(SOURCES) 2>/dev/null | LC_ALL=C sort | cksum | cut -d' ' -f1)
SLICER := $(STAMPS)/$(if $(EDITABLE),editable,wheel-$(SUM))

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

serve: $(SLICER) $(if $(MEDIA),,$(SAMPLE)) ## serve MEDIA=folder (default: an hour of sample audio) at HOST=127.0.0.1 PORT=8000
	@exec $(VENV)/bin/slicer serve "$(if $(MEDIA),$(MEDIA),$(dir $(SAMPLE)))" --host "$(HOST)" --port "$(PORT)"

check: $(SLICER) $(STAMPS)/test $(STAMPS)/deploy ## run the quick check, within a minute: style, types, and unit tests without servers or decoding
	scripts/lint $(VENV) --quick
	$(PYTHON) -m pytest -q -n 2 --dist=loadfile -m "not decodes and not long" tests/unit

test: $(SLICER) $(STAMPS)/test $(STAMPS)/deploy $(SAMPLE) ## test everything against real servers, and one provisioned host (15 minutes on 2 CPUs)
	@PYTHONPATH=tests $(PYTHON) -m support.stages test

test-all: test $(STAMPS)/all ## run that, then several hosts, releases, disasters, Vagrant, RabbitMQ, Firefox and long fuzzing
	@PYTHONPATH=tests $(PYTHON) -m support.stages all

test-hosts: $(SLICER) $(STAMPS)/all $(STAMPS)/deploy ## test provisioned machines only (docs/testing-hosts.md)
	$(PYTHON) -m pytest tests/infra

vagrant-test: $(SLICER) $(STAMPS)/all $(STAMPS)/deploy ## bring up the Vagrant machine (PROVIDER=docker), test it, destroy it
	SLICER_SERVERS=one PROVIDER="$(PROVIDER)" $(PYTHON) -m pytest tests/infra

soak: $(SLICER) $(STAMPS)/test $(STAMPS)/deploy ## load a whole stack for MINUTES=30, inject faults, check every body and the use of resources
	PYTHONPATH=tests $(PYTHON) -m soak --minutes "$(or $(MINUTES),30)"

lint: $(SLICER) $(STAMPS)/test $(STAMPS)/deploy ## check style, types, spelling and prose of everything
	scripts/lint $(VENV)

format: $(SLICER) $(STAMPS)/test ## format Python, and fix what the linter can
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench-engine: $(SLICER) $(STAMPS)/bench ## measure cutting alone
	PYTHONPATH=tests $(PYTHON) tests/bench/engine.py

bench-http: $(SLICER) $(STAMPS)/bench ## measure the server over HTTP
	PYTHONPATH=tests $(PYTHON) tests/bench/serving.py

bench-growth: $(SLICER) $(STAMPS)/bench $(STAMPS)/test $(STAMPS)/deploy ## measure growth with files, clips and clients (QUICK=1: briefly)
	PYTHONPATH=tests $(PYTHON) tests/bench/growth.py $(if $(QUICK),--quick)

bench-edge: $(SLICER) $(STAMPS)/bench $(STAMPS)/test $(STAMPS)/deploy ## measure Nginx in front of the server
	PYTHONPATH=tests $(PYTHON) tests/bench/edge.py

bench-jobs: $(SLICER) $(STAMPS)/bench $(STAMPS)/test $(STAMPS)/deploy ## measure jobs, and clients that wait for them
	PYTHONPATH=tests $(PYTHON) tests/bench/jobs.py

bench-objects: $(SLICER) $(STAMPS)/bench $(STAMPS)/test ## measure clips of media in object storage, beside those of a folder
	PYTHONPATH=tests $(PYTHON) tests/bench/objects.py

bench-render: $(SLICER) $(STAMPS)/bench ## measure renders
	PYTHONPATH=tests $(PYTHON) tests/bench/render.py

bench-studio: $(SLICER) $(STAMPS)/bench $(STAMPS)/test ## measure the studio page in Chromium
	PYTHONPATH=tests $(PYTHON) tests/bench/studio.py

bench-search: $(SLICER) $(STAMPS)/bench ## measure searches in 100,000 files with 10 million cues (QUICK=1: a fiftieth)
	PYTHONPATH=tests $(PYTHON) tests/bench/search.py $(if $(QUICK),--quick)

screenshot: $(SLICER) $(SAMPLE) $(STAMPS)/test ## replace docs/studio.png, the picture of the studio page
	PYTHONPATH=tests $(PYTHON) scripts/studio-picture "$(SAMPLE)" docs/studio.png

bench-contest: $(SLICER) $(STAMPS)/bench $(STAMPS)/contest ## measure this and other servers side by side (QUICK=1: a short look)
	PYTHONPATH=tests $(PYTHON) -m contest $(if $(QUICK),--quick)

bench: bench-contest ## that, and write docs/benchmarks.md from it and from what the other benchmarks left last (QUICK=1)
	PYTHONPATH=tests $(PYTHON) -m contest.document

deploy-tools: $(STAMPS)/deploy ## install Ansible, which sets up servers (docs/deploy.md)

wheel: $(STAMPS)/deploy ## build a wheel of this checkout into dist/
	@scripts/bootstrap dist $(VENV)

collection: $(STAMPS)/deploy ## build the roles and the playbook as an Ansible collection into dist/ (docs/deploy.md)
	@wheel=$$(scripts/bootstrap dist $(VENV)) && $(PYTHON) scripts/collection $(VENV) "$$wheel" dist

sbom: $(STAMPS)/test ## write a bill of materials of what a server runs into dist/, as CycloneDX
	@mkdir -p dist && $(PYTHON) scripts/supply sbom dist/slicer.cdx.json

image: $(STAMPS)/deploy ## build the container image mp3-slicer:VERSION with ENGINE=docker (docs/container.md)
	@ENGINE="$(ENGINE)" scripts/image

compose: $(STAMPS)/deploy ## build the images of compose.yaml, with Nginx and Redis, and write what it needs (docs/container.md)
	@ENGINE="$(ENGINE)" scripts/image && ENGINE="$(ENGINE)" scripts/image edge
	@$(PYTHON) scripts/compose

release: $(STAMPS)/test $(STAMPS)/deploy ## build wheel, source archive, image, bill of materials and checksums into dist/, and tag (CONTRIBUTING.md)
	$(PYTHON) scripts/release

audit: $(STAMPS)/audit ## ask PyPI for known vulnerabilities of everything in the locks (docs/security.md)
	@scripts/audit $(VENV)/audit/bin/pip-audit

fuzz: $(SLICER) $(STAMPS)/test $(STAMPS)/deploy ## fuzz KIND="files cuts parsers api" for MINUTES=10 each, or COUNT=1000000 (KIND=files)
	PYTHONPATH=tests $(PYTHON) -m fuzz $(KIND) $(if $(COUNT),--count $(COUNT),--minutes $(or $(MINUTES),10))

sample: $(SAMPLE)

# For programs that need what this file decides.
places:
	@printf '%s\n' 'VENV=$(VENV)' 'SAMPLE=$(SAMPLE)'

lock: $(STAMPS)/serve ## update requirements/*.txt from pyproject.toml
	@scripts/lock $(VENV)/bin/uv

clean: ## remove the virtual environment and caches
	rm -rf "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build wsgi/mp3_slicer/studio/vendor

$(STAMPS)/serve: requirements/build.txt requirements/serve.txt
	@scripts/bootstrap serve $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test $(STAMPS)/bench $(STAMPS)/contest: $(STAMPS)/%: requirements/%.txt $(STAMPS)/serve
	@scripts/bootstrap $* $(VENV)
	@touch $@

$(STAMPS)/deploy: requirements/build.txt requirements/deploy.txt
	@scripts/bootstrap deploy $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/all: $(STAMPS)/test
	@scripts/bootstrap all $(VENV)
	@touch $@

$(STAMPS)/audit: requirements/audit.txt
	@scripts/bootstrap audit $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/wheel-%: $(STAMPS)/serve
	@scripts/bootstrap wheel $(VENV)
	@rm -f $(STAMPS)/wheel-* $(STAMPS)/editable && touch $@

$(STAMPS)/editable: pyproject.toml hatch_build.py package-lock.json $(STAMPS)/serve
	@scripts/bootstrap editable $(VENV)
	@rm -f $(STAMPS)/wheel-* && touch $@

# Without a server's packages: ffmpeg is enough.
$(SAMPLE):
	@scripts/bootstrap sample
	@umask 022 && mkdir -p $(dir $@) && scripts/sample-hour $@
