PYTHON ?= python3
VENV := .venv
IN_VENV := $(VENV)/bin/python
PYTEST := $(IN_VENV) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
export PYTHONPATH := $(CURDIR)/notebooks

.DEFAULT_GOAL := run
.PHONY: help check run lab models keep-version release-version delete-version site ray-label ray-train ray-serve label fit serve scale-check test test-scale bench soak site-check audit train backend frontend colab-check setup setup-tests lint address clean

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup  ## fine-tune, then serve the backend and the page until Ctrl-C
	@$(IN_VENV) -m catdog.notebook.runner run

lab: setup  ## the notebooks in JupyterLab
	@$(IN_VENV) -m jupyterlab notebooks

models: setup  ## list the saved versions: when, of how many photos, how right, how large
	@$(IN_VENV) -m catdog.models

keep-version: setup  ## keep a version, perhaps with a label: VERSION=name/version LABEL=final
	@$(IN_VENV) -m catdog.notebook.versions keep

release-version: setup  ## let it go again: VERSION=name/version
	@$(IN_VENV) -m catdog.notebook.versions release

delete-version: setup  ## delete a version for good, unless it is kept or serves: VERSION=name/version
	@$(IN_VENV) -m catdog.notebook.versions delete

site: setup  ## a saved model as a website that needs no service: MODEL=name/version OUT=folder LANGUAGE=en
	@$(IN_VENV) -m catdog.site

train: setup  ## execute notebook 1 alone
	@$(IN_VENV) -m catdog.notebook.runner train

backend: setup  ## execute notebook 2 and stay up until Ctrl-C
	@$(IN_VENV) -m catdog.notebook.runner backend

frontend: setup  ## execute notebook 3 and stay up until Ctrl-C
	@$(IN_VENV) -m catdog.notebook.runner frontend

ray-label: $(VENV)/ready-for-scale  ## what a model says of very many photos: LABEL_PHOTOS=… LABELS_OUT=….parquet
	@$(IN_VENV) -m catdog.distributed label

ray-train: $(VENV)/ready-for-scale  ## notebook 1 without its pictures, on very many photos: DATA=… FEATURES=….parquet
	@$(IN_VENV) -m catdog.distributed train

ray-serve: $(VENV)/ready-for-scale  ## the backend on Ray Serve until Ctrl-C; knobs: see deploy/ray_serve.py
	@$(IN_VENV) deploy/ray_serve.py

# By their names of before, for one release.
NOW_label := ray-label
NOW_fit := ray-train
NOW_serve := ray-serve
label fit serve:
	@echo "make $@ is called make $(NOW_$@) now: please use that name."
	@$(MAKE) --no-print-directory $(NOW_$@)

check: lint  ## after every change, a minute or so: style, types, and the tests without VGG16, a browser or long waits
	$(PYTEST) -m "not (slow or weights or browser or ray)" --hypothesis-profile=few tests

test: setup-tests lint  ## everything but Ray, some 15 minutes: Python, notebooks, browsers
	$(PYTEST) -m "not ray"

test-scale: setup-tests $(VENV)/ready-for-scale-tests  ## the tests on Ray, ten to fifteen minutes
	$(IN_VENV) -m pytest -m ray tests

bench: setup-tests $(VENV)/peers/ready  ## ratios against the original's way, peers and the bare engine; BENCH="--help"
	@$(IN_VENV) tests/bench $(BENCH)

soak: setup-tests  ## ten minutes of clients and rubbish, then overload; SOAK="--minutes 1"
	@$(IN_VENV) tests/soak.py $(SOAK)

scale-check: $(VENV)/ready-for-scale  ## make ray-label on 20,000 photos, with kills, against the plain loop; CHECK="--help"
	@$(IN_VENV) tests/scale_check.py $(CHECK)

site-check: setup-tests  ## the site in three browsers against the service, some twenty minutes; CHECK="--help"
	@$(IN_VENV) tests/site_check.py $(CHECK)

audit: setup-tests  ## known holes in what requirements.txt brings
	@$(IN_VENV) tests/audit.py

colab-check:  ## beside the versions that Colab ships: installing moves none, and every test passes; some ten minutes; CHECK="-k …"
	@$(PYTHON) tests/colab_check.py $(CHECK)

lint: $(VENV)/ready-for-tests  ## style and types alone
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy --no-error-summary

address: setup  ## put the repository's address from pyproject.toml into README and notebooks
	@$(IN_VENV) tools/set_repository_url.py

setup: $(VENV)/ready

setup-tests: $(VENV)/ready-for-tests
	@$(IN_VENV) tests/get_browser.py
	@$(IN_VENV) tests/get_runtime.py

$(VENV)/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Python 3.11, 3.12 or 3.13 is needed, which its packages are made for: make PYTHON=python3.13 …"; exit 1; }
	@echo "Installing what the notebooks need into $(VENV) (a few minutes the first time)"
	@test -x $(IN_VENV) || $(PYTHON) -m venv $(VENV)
	@$(IN_VENV) -m pip install --disable-pip-version-check --quiet --progress-bar on -r requirements.txt
	@touch $@

$(VENV)/ready-for-scale: $(VENV)/ready requirements-scale.txt
	@echo "Installing what very many photos need"
	@$(IN_VENV) -m pip install --disable-pip-version-check --quiet -r requirements-scale.txt
	@touch $@

$(VENV)/ready-for-tests: $(VENV)/ready tests/requirements.txt
	@echo "Installing what the tests need"
	@$(IN_VENV) -m pip install --disable-pip-version-check --quiet -r tests/requirements.txt
	@touch $@

$(VENV)/ready-for-scale-tests: $(VENV)/ready-for-scale tests/requirements-scale.txt
	@$(IN_VENV) -m pip install --disable-pip-version-check --quiet -r tests/requirements-scale.txt
	@touch $@

$(VENV)/peers/ready: tests/bench/requirements.txt
	@echo "Installing what the benchmark compares with"
	@$(IN_VENV) -m pip install --disable-pip-version-check --quiet --upgrade --target $(VENV)/peers -r $< || echo "Not to be had: the benchmark goes without."
	@mkdir -p $(VENV)/peers && touch $@

clean:  ## remove the virtual environment; photos, models and caches stay
	rm -rf $(VENV)
