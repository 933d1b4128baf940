# Two commands for a fresh machine: `make demo` runs the whole chain, `make test` the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-full lint check bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f'Python 3.11 to 3.13 is needed, found {v[0]}.{v[1]}: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

# Synthetic patients, all stages, a small model of some minutes, zero-shot AUCs on held-out patients.
demo: export FVLM_VAULT = demo/vault
# Their key is fixed, so that ids, and with them the split, are the same everywhere.
demo: install
	rm -rf demo
	mkdir -m 700 -p demo/vault
	(umask 077 && printf '%064d' 7 > demo/vault/key)
	$(BIN)/fvlm-data phantom demo/phantom --patients 300 --seed 7 --workers 2
	$(BIN)/fvlm-data curate demo.yaml
	$(BIN)/fvlm-data verify --store demo/store
	$(BIN)/fvlm-train demo.yaml --store demo/store --out demo/run
	$(BIN)/fvlm-eval zero-shot demo/run --config demo.yaml --store demo/store --split test \
		--labels demo/phantom/truth.parquet
	@echo "Synthetic patients, so the figures say that the chain works, nothing about hospitals."
	@echo "Everything lies in demo/: phantom (input), store (tables, shards, qc/index.html), run (model)."

test: install
	$(BIN)/python -m pytest -q

test-full: install
	$(BIN)/python -m pytest -q -m "not gpu"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: install
	$(BIN)/python bench/phantom_baseline.py --patients 400 --seed 7
	$(BIN)/python bench/discovery.py --files 100000 --workers 2
	$(BIN)/python bench/reports.py --patients 200 --distinct 0.24

clean:
	rm -rf $(VENV) demo build *.egg-info
