# Two commands for a fresh machine: `make reproduce` and `make test`. All else is typed inside the
# environment, as always: snakemake --cores N, pytest, dvc …
PYTHON ?= python3
STUDY ?= config.yaml
ENGINE ?= docker
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONNOUSERSITE := 1

.PHONY: help install reproduce ship tune forecast test test-system lint lock rulegraph container readme zoo method-docs config-docs bench pull-records clean-work

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/installed  ## Make .venv from the hash-checked lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "error: $(PYTHON) is no Python 3.11, 3.12 or 3.13; say which is: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

reproduce: install  ## Run the default study; ends with the verdicts and where the report is
	snakemake
	@python scripts/headline.py --claims results/digits/claims.csv --report results/digits/report.html

ship: install  ## From images and a target to a verdict and files that run anywhere: make ship STUDY=config/ship.yaml
	@python scripts/ship.py $(if $(filter config.yaml,$(STUDY)),config/ship.yaml,$(STUDY))

tune: install  ## Choose the default study's learning rates on validation, until none is at its grid's edge
	python scripts/tune.py config.yaml config/digits-tune.yaml

forecast: install  ## Say what a study takes on this machine (time, memory, disk): make forecast STUDY=config.yaml
	@python scripts/forecast.py --config $(STUDY)

test: install  ## Pass the tests (no root, nothing installed on the system)
	pytest --numprocesses 2 --dist loadfile

test-system: install  ## Tests that need root and system packages (chromium, slurm-wlm, munge, texlive-latex-recommended)
	pytest tests/system

lint: install  ## ruff, mypy, snakefmt, snakemake --lint
	ruff check . && ruff format --check . && mypy && lint-imports --no-cache --no-logo && snakefmt --check Snakefile workflow && snakemake --lint

lock:  ## Renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --upgrade --quiet --output-file requirements.lock

rulegraph: install  ## Draw docs/rulegraph.svg, the graph of the workflow's rules (needs graphviz)
	set -o pipefail; snakemake --rulegraph dot | dot -Tsvg -o docs/rulegraph.svg

container:  ## Build the container of Containerfile, and stagewise.sif of it (needs docker or podman, and apptainer)
	$(ENGINE) build --tag stagewise --file Containerfile .
	$(ENGINE) save --output stagewise.tar stagewise
	apptainer build --force stagewise.sif docker-archive:stagewise.tar
	rm stagewise.tar

readme: install  ## Copy the default study's results into README.md, docs/gallery.md and evidence/
	python scripts/readme.py

method-docs: install  ## Write docs/methods.md, the page of all methods
	python scripts/method_docs.py

zoo: install  ## Write docs/zoo.md, the page of all networks
	python scripts/zoo.py

config-docs: install  ## Write docs/config.md and docs/config.schema.json, all keys of a configuration
	python scripts/config_docs.py

bench: install  ## Measure speed on this machine; writes benchmarks/README.md (an hour, leave it alone)
	python benchmarks/throughput.py
	python benchmarks/throughput.py --pairs "resnet50 → resnet18" --steps 2 --out benchmarks/results/throughput-resnet50.json
	python benchmarks/throughput.py --methods
	python benchmarks/grouped.py
	python benchmarks/scaling.py
	python benchmarks/shipping.py
	rm -rf work/bench
	python benchmarks/pipeline.py --keep work/bench
	python benchmarks/forecast.py --root work/bench
	python benchmarks/table.py

pull-records:  ## Pull records and results alone: enough to redraw, without data and weights
	dvc list --recursive --dvc-only . runs | grep -E '\.(json|csv|npz)$$' | sed 's,^,runs/,' \
	  | xargs dvc pull results .snakemake/metadata

# Snakemake's marks of unfinished outputs stay: without them a half-made output would count as made.
clean-work:  ## After the worst kill: remove training states, stale locks, temporary files
	@for pid in $$(pgrep -f '(bin/|-m )[s]nakemake'); do \
	  case "$$(readlink /proc/$$pid/cwd)" in "$(CURDIR)" | "$(CURDIR)/.smoke") \
	    echo "error: process $$pid, a Snakemake, still runs here; wait for it, or end it"; exit 1;; \
	  esac; done
	rm -rf {.,.smoke}/{work,.snakemake/locks}
	rm -f $$(find . -path ./.venv -prune -o \( -name '.*.tmp' -o -name '.tmp??????' \) -type f -print)
