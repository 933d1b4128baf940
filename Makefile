# Two commands for a fresh machine: `make demo` runs the whole chain, `make test` the tests.
PYTHON ?= python3
VENV ?= .venv
# Compiled modules are kept: without them each process that tests start compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tools that tests compare with, apart from ours: what nnU-Net brings along breaks Prefect's server.
PEERS ?= $(VENV)-peers
PEERS_STAMP := $(PEERS)/.installed
# What segmentation workers need: TotalSegmentator beside Prefect and Dask.
SEGMENTATION ?= $(VENV)-segmentation
SEGMENTATION_STAMP := $(SEGMENTATION)/.installed
# The documentation's site is made in an environment that holds nothing else.
DOCS ?= $(VENV)-docs
DOCS_STAMP := $(DOCS)/.installed
# Processes of the tests.
JOBS ?= logical
# A file's tests in one process, whose fixtures they share; files in the order of tests/conftest.py.
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: install install-segmentation demo docs test test-full test-only-full test-segmentation lint check \
	dist bench bench-small clean

comma := ,

# A virtual environment $(1) with the versions of constraints.txt. pip, which reads the user's
# pip.conf, takes torch (a build without CUDA, say, that --find-links or an index there names).
# uv takes the rest in a fraction of pip's time; it reads no pip.conf, so is told of its index.
# Where it cannot be had or fails, pip does all.
define environment
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f'Python 3.11 to 3.13 is needed, found {v[0]}.{v[1]}: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(1)
	@set -e; export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=constraints.txt; \
	pip="$(1)/bin/python -m pip"; \
	echo "installing into $(1)"; \
	$$pip install --quiet --no-deps torch; \
	index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($$pip config get global.index-url 2>/dev/null || true)}}"; \
	if $$pip install --quiet uv && UV_DEFAULT_INDEX="$$index" $(1)/bin/uv pip install --quiet \
		--python $(1)/bin/python --constraint constraints.txt $(2); then :; else \
		echo "uv did not install it; pip does, which takes some minutes" >&2; \
		$$pip install --quiet $(2); \
	fi
	@touch $(1)/.installed
endef

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(call environment,$(VENV),-e ".[dev]")

$(PEERS_STAMP): constraints.txt
	$(call environment,$(PEERS),nnunetv2==2.8.1 dcm2niix==1.0.20260724)

install-segmentation: $(SEGMENTATION_STAMP)

# By uv alone: pip cannot leave out what a package asks for (overrides-segmentation.txt).
$(SEGMENTATION_STAMP): pyproject.toml constraints.txt constraints-segmentation.txt \
		overrides-segmentation.txt
	$(call environment,$(SEGMENTATION),--constraint constraints-segmentation.txt \
		--override overrides-segmentation.txt -e ".[flows$(comma)totalsegmentator]")

# Synthetic patients, all stages, a small model, its AUCs on held-out patients beside a baseline's.
demo: install
	rm -rf demo
	$(BIN)/fvlm-data demo demo

# The documentation as a site in build/site, which opens from disk; a link that leads nowhere fails.
docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet

$(DOCS_STAMP): constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt mkdocs-material
	@touch $@

test: install
	$(BIN)/python -m pytest -q $(SPREAD)

# All tests but those for a GPU. Needs the Debian packages orthanc, orthanc-dicomweb, postgresql,
# prometheus and prometheus-node-exporter; a test says which it lacks.
test-full: install $(PEERS_STAMP) $(SEGMENTATION_STAMP)
	FVLM_TEST_PEERS=$(abspath $(PEERS)) FVLM_TEST_SEGMENTATION=$(abspath $(SEGMENTATION)) \
		$(BIN)/python -m pytest -q $(SPREAD) -m "not gpu"

# What `make test` leaves out of them, but for each kind of damage to each table.
test-only-full: install $(PEERS_STAMP)
	FVLM_TEST_PEERS=$(abspath $(PEERS)) $(BIN)/python -m pytest -q $(SPREAD) \
		-m "(full or network) and not exhaustive and not gpu and not segmentation"

# The backend totalsegmentator against the library itself, on small models of random weights.
test-segmentation: install $(SEGMENTATION_STAMP)
	FVLM_TEST_SEGMENTATION=$(abspath $(SEGMENTATION)) $(BIN)/python -m pytest -q -m segmentation \
		tests/segment

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

# Source archive and wheel, the wheel made from the archive.
dist: install
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# Benchmarks in the size of the figures in docs/. SERIES (a folder of DICOM files) and MASK (its label
# map) name a real scan; without them a synthetic one is made.
CT := $(if $(SERIES),--series $(SERIES) --mask $(MASK))

bench: install $(SEGMENTATION_STAMP)
	$(BIN)/python bench/discovery.py --files 100000 --workers 2
	$(BIN)/python bench/plan.py --studies 10000 250000
	$(BIN)/python bench/pages.py --studies 10000
	$(BIN)/python bench/scale.py chain more batch commits --studies 200 800 2000
	$(BIN)/python bench/capacity.py
	$(BIN)/python bench/nights.py --nights 1000 --every 100
	$(BIN)/python bench/ingest.py --slices 300 --repeats 5
	$(BIN)/python bench/traps.py
	$(BIN)/python bench/reports.py --patients 400
	$(BIN)/python bench/reports_stage.py
	$(BIN)/python bench/reports_quality.py --peer
	$(BIN)/python bench/identities.py --patients 400
	$(BIN)/python bench/preprocess.py --rounds 3 $(CT)
	$(BIN)/python bench/round_trip.py $(CT)
	$(BIN)/python bench/packing.py $(CT)
	$(BIN)/python bench/masks.py $(CT)
	$(BIN)/python bench/threshold.py
	$(SEGMENTATION)/bin/python bench/segment.py
	$(BIN)/python bench/loader.py $(if $(SERIES),$(CT),--larger 24)
	$(BIN)/python bench/phantom_baseline.py --patients 400 --seed 7
	$(BIN)/python bench/methods.py
	$(BIN)/python bench/doubtful.py
	$(BIN)/python bench/train.py

# The same at the smallest size: shows that each runs, and no more.
bench-small: install
	$(BIN)/python bench/discovery.py --files 400 --rounds 1
	$(BIN)/python bench/plan.py --studies 20
	$(BIN)/python bench/pages.py --studies 20
	$(BIN)/python bench/scale.py chain more batch commits --studies 2 3 --masks 36 72 --commits 5 \
		--rounds 1
	$(BIN)/python bench/capacity.py --patients 2 --times 2
	$(BIN)/python bench/nights.py --nights 2 --every 1 --items 10 --changed 2
	$(BIN)/python bench/ingest.py --slices 12 --repeats 1
	$(BIN)/python bench/traps.py --only plain
	$(BIN)/python bench/reports.py --patients 10 --rounds 1 --peer-reports 4
	$(BIN)/python bench/reports_stage.py --patients 60 --reports 80
	$(BIN)/python bench/reports_quality.py
	$(BIN)/python bench/identities.py --patients 10
	$(BIN)/python bench/preprocess.py --slices 60 --rounds 1
	$(BIN)/python bench/round_trip.py
	$(BIN)/python bench/packing.py --slices 24
	$(BIN)/python bench/masks.py --slices 20
	$(BIN)/python bench/threshold.py --patients 1 --size 128 --slices 40
	$(BIN)/python bench/segment.py --volumes 2 --side 64 --slices 20
	$(BIN)/python bench/loader.py --volumes 2 --rounds 1 --larger 24
	$(BIN)/python bench/phantom_baseline.py --patients 40 --seed 7
	$(BIN)/python bench/methods.py --patients 40 --steps 2 --min-patients 1
	$(BIN)/python bench/doubtful.py --patients 40 --steps 2 --seeds 1 --folds 2 --share 0.1
	$(BIN)/python bench/train.py --small --anatomies 2 5 --rounds 1

clean:
	rm -rf $(VENV) $(PEERS) $(SEGMENTATION) $(DOCS) demo build dist *.egg-info
