# Everything runs from .venv, which is created once from the hash-locked requirements.
SHELL := /bin/sh
PY := .venv/bin/python

# The first of these that runs: a version manager may have a shim for a version that is not active.
PYTHONS = python3.13 python3.12 python3.11 python3
SUITABLE = import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(foreach python,$(PYTHONS),$(if $(shell $(python) -c '$(SUITABLE)' 2>/dev/null && echo yes),$(python))))

.DEFAULT_GOAL := help
.PHONY: browser demo test test-cpus test-long test-rotation mutants test-clients coverage lint structure docs sbom parameters-page api-page lock clean help images image-control image-worker image-worker-gpu builder render upload

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: .venv/runtime ## the main job, end to end, into demo/
	$(PY) -m cli.main demo

# The tests sync thousands of small files: a file system in memory spares the waits, where it has room and can run programs.
MEMORY = $(shell findmnt -n -o OPTIONS /dev/shm 2>/dev/null | grep -qv noexec && df -Pk /dev/shm | awk 'NR == 2 && $$4 > 8e6 { print "/dev/shm" }')

test: ROTATION_SECONDS = 30
test: .venv/dev browser ## lint, types, layers, every test that is not long, and this commit's slice of the long ones
	$(MAKE) lint
	$(if $(MEMORY),TMPDIR=$(MEMORY)) $(PY) -m pytest -n 2 --dist loadscope -m "not clients" $(ROTATION)

# At a fiftieth of their volume, other ones at each commit; ROTATION_SECONDS bounds how many.
ROTATION_SECONDS ?= 90
ROTATION = --slice-of "$(shell git rev-parse HEAD 2>/dev/null || echo none)" --budget $(ROTATION_SECONDS) --volume 0.02

test-rotation: .venv/dev ## the slice of the long tests that the commit's hash chooses, within ROTATION_SECONDS
	$(PY) -m pytest -m "long and not clients" $(ROTATION)

test-long: .venv/dev ## the long tests: crashes, races and random histories by the thousand; prints which ran when
	$(PY) -m pytest -m "long and not clients" --timeout 7200

mutants: .venv/dev ## break the product in every way of tests/mutations/data, and see the tests of each fail
	$(PY) tests/mutations/sweep.py

test-clients: .venv/dev .venv-clients/installed ## the main job by python-pachyderm, which has an environment of its own
	$(PY) -m pytest -m clients tests/clients

# The tests that compute with TensorFlow, and the settings that stand for other CPUs; a CPU without an instruction set
# ignores a maximum above its own.
TENSORFLOW_TESTS = $(addprefix tests/unit/test_,cli_model.py dataset.py export.py generate.py losses.py networks.py resume.py step.py train.py)
CPUS = ONEDNN_MAX_CPU_ISA=SSE41 ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=AVX512_CORE TF_ENABLE_ONEDNN_OPTS=0

test-cpus: .venv/dev ## the tests of the model with the kernels of other CPUs, without oneDNN, and on one core
	for cpu in $(CPUS); do echo "$$cpu"; env $$cpu $(PY) -m pytest -m "not long" $(TENSORFLOW_TESTS) || exit 1; done
	taskset -c 0 $(PY) -m pytest -m "not long" $(TENSORFLOW_TESTS)

browser: # Chromium for the tests of the pages, which are skipped without it; Debian's package, if this is root on Debian
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "chromium cannot be installed; the tests of the pages in a browser are skipped"

coverage: .venv/dev ## branch coverage of the tests that are not long, as text and in build/coverage/
	$(PY) -m pytest -n 2 --dist loadscope -m "not long" --cov --cov-report term --cov-report html:build/coverage

structure: .venv/dev ## modules per package, imports between packages, long functions, duplicate type names
	$(PY) tests/structure/structure.py

docs: .venv-docs/installed ## the documentation as a site, in build/docs/
	.venv-docs/bin/python -m sphinx -W --keep-going -b html docs build/docs

sbom: .venv-sbom/installed ## the bill of materials of what is installed at run time, CycloneDX, in build/sbom.cdx.json
	@mkdir -p build
	.venv-sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible -o build/sbom.cdx.json requirements/runtime.txt

parameters-page: .venv/dev ## rewrite the tables of docs/parameters.md from the docstrings
	$(PY) tests/docs/parameters_page.py

lint: .venv/dev ## ruff, mypy and the layers contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

api-page: .venv/dev ## rewrite the reference in docs/api.md from the docstrings
	$(PY) tests/docs/api_page.py

lock: .venv/dev ## resolve the dependencies anew into requirements/*.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/runtime.txt requirements/build.in -o requirements/build.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/runtime.txt --override requirements/without-tensorflow.txt pyproject.toml -o requirements/control.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c requirements/runtime.txt --python-platform x86_64-manylinux_2_28 pyproject.toml requirements/gpu.in -o requirements/gpu.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements/clients.in -o requirements/clients.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements/docs.in -o requirements/docs.txt
	$(PY) -m uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements/sbom.in -o requirements/sbom.txt

clean: ## remove what was made: environments, demo/, caches
	rm -rf .venv .venv-clients .venv-docs .venv-sbom demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/python:
	@test -n "$(PYTHON)" || { echo "pix2pix needs Python 3.11, 3.12 or 3.13 with ensurepip, and none of $(PYTHONS) is one; install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c '$(SUITABLE)' || { echo "pix2pix needs Python 3.11, 3.12 or 3.13 with ensurepip, and $(PYTHON) is $$($(PYTHON) -V 2>&1); leave PYTHON out, or name another"; exit 2; }
	@echo "using $(PYTHON): $$($(PYTHON) -V)"
	$(PYTHON) -m venv .venv
	touch .venv/python

.venv/runtime: .venv/python requirements/runtime.txt pyproject.toml
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch .venv/runtime

.venv-docs/installed: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	touch .venv-docs/installed

.venv/dev: .venv/runtime requirements/dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch .venv/dev

.venv-sbom/installed: requirements/sbom.txt
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/sbom.txt
	touch .venv-sbom/installed

.venv-clients/installed: requirements/clients.txt
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/clients.txt
	touch .venv-clients/installed

# The image of each kind, with the version as its tag; PYTHON_IMAGE is a Python 3.11 image by digest.
REGISTRY ?= ghcr.io/pix2pix-pipelines
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BUILDER ?= $(firstword $(foreach tool,docker podman buildah,$(if $(shell command -v $(tool) 2>/dev/null),$(tool))))
BUILD = $(BUILDER) build $(BUILD_FLAGS) --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) --build-arg VERSION=$(VERSION) \
	--build-arg REVISION=$(shell git rev-parse HEAD) --build-arg CREATED=$(shell git log -1 --format=%cI)

images: image-control image-worker image-worker-gpu ## build all three images; needs PYTHON_IMAGE=name@sha256:...

image-control: builder
	$(BUILD) --build-arg IMAGE=$(REGISTRY)/pix2pix-control:$(VERSION) -f dockerfiles/control.Dockerfile -t $(REGISTRY)/pix2pix-control:$(VERSION) .

image-worker: builder
	$(BUILD) --build-arg IMAGE=$(REGISTRY)/pix2pix-python:$(VERSION) -f dockerfiles/worker.Dockerfile -t $(REGISTRY)/pix2pix-python:$(VERSION) .

image-worker-gpu: builder
	$(BUILD) --build-arg IMAGE=$(REGISTRY)/pix2pix-python:$(VERSION)-gpu --build-arg REQUIREMENTS=gpu.txt \
		--build-arg LICENSES="Apache-2.0 AND LicenseRef-NVIDIA-Proprietary" \
		--build-arg DESCRIPTION="Runs the stages train, export, resize and generate on a GPU; contains NVIDIA's proprietary CUDA and cuDNN libraries" \
		-f dockerfiles/worker.Dockerfile -t $(REGISTRY)/pix2pix-python:$(VERSION)-gpu .

builder:
	@test -n "$(BUILDER)" || { echo "the images need docker, podman or buildah"; exit 2; }
	@test -n "$(PYTHON_IMAGE)" || { echo "the images need PYTHON_IMAGE=NAME@sha256:DIGEST of a Python 3.11 image; see docs/kubeflow.md"; exit 2; }

OVERLAYS = $(notdir $(wildcard deploy/kustomize/overlays/*))

render: ## render every overlay with kubectl into deploy/rendered/, which is committed
	@mkdir -p deploy/rendered
	for overlay in $(OVERLAYS); do kubectl kustomize deploy/kustomize/overlays/$$overlay > deploy/rendered/$$overlay.yaml || exit 1; done

upload: .venv/runtime ## upload the compiled pipelines to Kubeflow with the kfp command; KF_PIPELINES_ENDPOINT says where
	for name in training_and_export preprocessing_and_generation image_to_image; do .venv/bin/kfp pipeline create --pipeline-name $$name workflows/$$name.yaml || exit 1; done
