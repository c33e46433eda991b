# Everything runs in a virtual environment of its own, .venv, which the first
# target that needs it makes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# Its own warnings are about its settings and of no use here; errors are shown.
PIP_INSTALL := -m pip install -qq --disable-pip-version-check

.PHONY: demo docs types test test-all test-pythons test-precisions test-notebooks \
  test-backends test-clients faults mutants advisories check-aarch64 check-npu check-micro lint bench clean

# Has the model that kerafer brings along look at a picture, as one would after an
# installation; then trains one, and shows the picture on its report.
demo: $(VENV)/.installed
	rm -rf demo demo.part
	$(BIN)/kerafer synthesize --subjects 1 --angles S --out demo.part/drawn
	cd demo.part && ../$(BIN)/kerafer predict drawn/AF01/AF01HAS.JPG
	@echo 'Now a training of minutes, on other synthetic faces.'
	$(BIN)/kerafer train --arch wca_mcnn --dataset synthetic --image-size 48 \
	  --epochs 6 --learning-rate 3e-4 --schedule cosine --warmup-epochs 1 \
	  --augment none --out demo
	mv demo.part/* demo
	rmdir demo.part
	@printf '\nWhat the model that comes along says of a synthetic face:\n\n%s\n' \
	  '![A face with the prediction on it](predictions/AF01HAS.jpg)' \
	  >> demo/report.md
	@echo 'All of it to read: demo/report.md'

# Guides, results and the reference out of the docstrings, to be read without a
# network: build/site/index.html. What builds it has an environment of its own.
docs: build/docs-venv/.installed
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --strict -q \
	  -f docs/site/mkdocs.yml
	@echo 'Written to build/site/index.html'

build/docs-venv/.installed: setup.cfg
	$(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/python $(PIP_INSTALL) 'mkdocs-material>=9.5,<10' \
	  'mkdocstrings[python]>=1.0,<2'
	touch $@

# Types as `lint` asks about them, and against the installed packages' own too,
# which may say something else in each of their versions.
types: $(VENV)/.installed-test
	$(BIN)/mypy --config-file= --ignore-missing-imports --cache-dir build/mypy \
	  kerafer

# All but what takes long alone; that too with test-all.
test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal \
	  -m 'not slow and not clients'

test-all: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# The same on the other Pythons that are supported, those that are here.
PYTHONS ?= python3.12 python3.13
test-pythons:
	for python in $(PYTHONS); do \
	  $$python --version || continue; \
	  $(MAKE) test PYTHON=$$python VENV=build/$$python || exit 1; \
	done

# What trains, in each precision that a training takes by itself, whatever this
# processor's is.
test-precisions: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(WORKERS) -m trains \
	  --auto-precision mixed_bfloat16
	$(BIN)/python -m pytest -n $(WORKERS) -m trains --auto-precision float32

# The notebooks of the documentation, with small settings.
test-notebooks: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(WORKERS) tests/integration/test_notebooks.py

# What trains, on Keras' other backends. PyTorch is large.
test-backends: $(VENV)/.installed-test
	$(BIN)/python $(PIP_INSTALL) -e '.[torch]'
	$(BIN)/python -m pytest -n $(WORKERS) tests/training/test_backends.py
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n $(WORKERS) -m trains
	KERAS_BACKEND=torch $(BIN)/python -m pytest -n $(WORKERS) -m trains

# Kills, full disks and damaged files, many times. Half an hour.
faults: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m 'slow or not slow' tests/faults

# Which changes of the package no test notices. Hours.
mutants: $(VENV)/.installed-test
	$(BIN)/python $(PIP_INSTALL) 'cosmic-ray>=8.3,<9'
	PATH=$(BIN):$$PATH $(BIN)/python tests/mutants.py

# What is known against the packages that are installed. Asks the network.
advisories: $(VENV)/.installed
	$(BIN)/python $(PIP_INSTALL) 'pip-audit>=2.7,<3'
	$(BIN)/pip-audit --local --skip-editable

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Rewrites files in docs/results/. Takes an hour. EXPORT is the folder of an
# export with the formats float32, int8 and onnx.
RESULTS := docs/results
bench: $(VENV)/.installed build/torch/.installed
	$(BIN)/python benchmarks/start_up.py --out $(RESULTS)/start_up.csv
	$(BIN)/python benchmarks/training_against_torch.py \
	  --torch-python build/torch/bin/python \
	  --out $(RESULTS)/training_against_torch.csv
	for backend in tensorflow jax; do KERAS_BACKEND=$$backend \
	  $(BIN)/python benchmarks/stem.py --out $(RESULTS)/stem.csv; done
	$(BIN)/python benchmarks/stems.py --out $(RESULTS)/stems.csv
	$(BIN)/python benchmarks/prediction.py $(EXPORT) \
	  --out $(RESULTS)/inference.csv

# PIP_INDEX_URL may name an index that has the wheels for processors alone.
build/torch/.installed:
	$(PYTHON) -m venv build/torch
	build/torch/bin/python $(PIP_INSTALL) torch==2.13.0 numpy
	touch $@

# Loads exported files in MediaPipe, an old one and the newest, which need
# environments of their own, trains on a Ray cluster of two workers, and opens
# the demo in a browser, for which it wants npm and Debian's chromium and
# chromium-driver.
test-clients: $(VENV)/.installed-test
	$(BIN)/python $(PIP_INSTALL) -e '.[ray]' 'selenium>=4.20,<5'
	$(BIN)/kerafer demo --install
	npm install --prefix build/axe --no-audit --no-fund axe-core@4.14.1
	$(PYTHON) -m venv build/mediapipe-0.10
	build/mediapipe-0.10/bin/python $(PIP_INSTALL) mediapipe==0.10.21
	$(PYTHON) -m venv build/mediapipe
	build/mediapipe/bin/python $(PIP_INSTALL) 'mediapipe>=1.2,<2'
	MEDIAPIPE_PYTHON=build/mediapipe-0.10/bin/python:build/mediapipe/bin/python \
	  $(BIN)/python -m pytest -m clients

# Runs an exported folder on an emulated 64-bit ARM processor.
EXPORT ?= exported/wca_mcnn
check-aarch64: $(VENV)/.installed
	$(BIN)/python scripts/check_aarch64.py $(EXPORT)

# Compiles int8 models for Arm Ethos-U NPUs: every operator must run there.
INCLUDED := $(wildcard kerafer/shipped/*_ferplus)
UNTRAINED := build/untrained/wca_mcnn
check-npu: build/vela/.installed $(UNTRAINED)/manifest.json
	build/vela/bin/python scripts/check_npu.py $(INCLUDED) $(UNTRAINED) $(wildcard $(EXPORT)) \
	  --out docs/results/ethos_u.csv

$(UNTRAINED)/manifest.json: $(VENV)/.installed
	$(BIN)/python scripts/export_untrained.py wca_mcnn 48 $(UNTRAINED)

build/vela/.installed:
	$(PYTHON) -m venv build/vela
	build/vela/bin/python $(PIP_INSTALL) 'ethos-u-vela>=5.1,<6'
	touch $@

# Runs int8 models in TensorFlow Lite Micro.
check-micro: build/micro/.installed
	build/micro/bin/python scripts/check_micro.py $(INCLUDED) $(wildcard $(EXPORT))

build/micro/.installed:
	$(PYTHON) -m venv build/micro
	build/micro/bin/python $(PIP_INSTALL) tflite-micro
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kerafer needs Python 3.11 or later; make PYTHON=python3.12 takes another")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) -e ".[train]"
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python $(PIP_INSTALL) -e '.[dev]'
	touch $@
