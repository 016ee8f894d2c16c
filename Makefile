# make demo   break a clip, repair it, show what was found and made (out/)
# make test   everything that must hold: lint, types, directions, tests, and the tests again without torch and onnx
# Each sets up all it needs in .venv, .venv-plain and .venv-hosts, and does nothing twice.

# The first Python >= 3.11 on PATH that really starts.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# The first Python >= 3.12 anywhere.
HOSTS_PYTHON ?= $(shell for p in python3 python3.12 python3.13 python3.14 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/*/bin/python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$p && break; done)
PIP = -m pip install --quiet --disable-pip-version-check --no-input

.PHONY: demo test lint plain hosts clean

demo: .venv/.demo
	.venv/bin/python examples/demo.py

test: lint plain hosts
	.venv/bin/python -m pytest -q

lint: .venv/.test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# What a user has: the built wheel, no torch, no onnx. Installed anew each time, so that the wheel is what is tested.
plain: .venv-plain/.done
	rm -rf build
	.venv-plain/bin/python $(PIP) --no-deps --force-reinstall .
	! .venv-plain/bin/python -c 'import torch' 2>/dev/null
	! .venv-plain/bin/python -c 'import onnx' 2>/dev/null
	.venv-plain/bin/pytest -q -m "not needs_torch" tests/integration tests/contract

# VapourSynth and vsview, for real: they come as wheels for Python 3.12 and newer only. PyAV 19 comes with them; the other
# hosts are tested in .venv.
hosts:
	@if [ -z "$(HOSTS_PYTHON)" ]; then echo "SKIPPED: tests/hosts in VapourSynth and vsview: no Python 3.12 or newer here"; else \
	$(MAKE) --no-print-directory .venv-hosts/.done && if [ -e .venv-hosts/.done ]; then \
	.venv-hosts/bin/python -m pytest -q tests/hosts/test_v*.py tests/hosts/test_pyav.py tests/hosts/test_example_clip.py; \
	else echo "SKIPPED: tests/hosts in VapourSynth and vsview: no wheel of one of them for this machine"; fi; fi

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "vgan needs Python 3.11 or newer, with venv, on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml | .venv/bin/python
	.venv/bin/python $(PIP) -e .
	touch $@

.venv/.test: pyproject.toml requirements-dev.txt | .venv/bin/python
	.venv/bin/python $(PIP) -r requirements-dev.txt -e ".[train,export,evaluate,moviepy,dev]"
	touch $@ .venv/.demo

.venv-plain/.done: pyproject.toml
	@test -n "$(PYTHON)" || { echo "vgan needs Python 3.11 or newer, with venv, on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv-plain
	.venv-plain/bin/python $(PIP) . pytest pytest-randomly hypothesis
	touch $@

.venv-hosts/.done: pyproject.toml
	$(HOSTS_PYTHON) -m venv .venv-hosts
	@.venv-hosts/bin/python $(PIP) --only-binary vapoursynth,vsview,PySide6 -e ".[vapoursynth,vsview]" \
		vapoursynth-bestsource vapoursynth-mvtools pytest pytest-randomly hypothesis 2>.venv-hosts/pip.log && touch $@ || \
		{ cat .venv-hosts/pip.log >&2; grep -q "No matching distribution" .venv-hosts/pip.log; }

clean:
	rm -rf .venv .venv-plain .venv-hosts build out
