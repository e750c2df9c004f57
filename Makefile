# Everything a newcomer needs: `make demo` and `make test`. Both set up .venv first.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
GL_PACKAGES := libegl1 libgl1-mesa-dri libopengl0 libosmesa6
BROWSER := chromium-headless-shell
# Where pip finds torch: empty for the configured index; without a GPU the CPU index of pytorch.org's
# install selector saves gigabytes: make setup TORCH_INDEX=<its URL>
TORCH_INDEX ?=
OUT ?= runs/demo
DEMO ?=

.PHONY: help setup gl browser demo test lint check format bench clean

help:
	@echo "make demo    the main job end to end (about 7 minutes on 2 cores), then runs/demo/report.html"
	@echo "make test    the whole test suite"
	@echo "make lint    format, lint and types: all of the checks that run no code"
	@echo "make check   format, lint, types and the fast tests"
	@echo "make setup   .venv with pinned versions, and software OpenGL"
	@echo "make browser a headless browser (Debian's $(BROWSER)) for the tests that read reports in one"
	@echo "make bench   every claim of speed against its peer (about 20 minutes), then the tables of docs/performance.md"

setup: $(STAMP) gl

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	  || { echo "latentctx needs Python 3.11 or 3.12: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv module is missing. On Debian or Ubuntu run: apt-get install -y python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[agents,films,kitchen,ogbench,dev]'
	@touch $(STAMP)

# $(call apt,what it is,Debian packages): install as root or with passwordless sudo, or print the line to run
define apt
install="apt-get install -y --no-install-recommends $(2)"; \
	if [ "$$(id -u)" = 0 ]; then as=""; \
	elif sudo -n true 2>/dev/null; then as="sudo"; \
	else echo "$(1) is missing. Run: sudo $$install"; exit 1; fi; \
	echo "installing $(1): $$install"; \
	$$as apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as $$install >/dev/null \
	  || { echo "That failed. Run: sudo $$install"; exit 1; }
endef

gl: $(STAMP)
	@$(BIN)/python -m latentctx_envs.doctor >/dev/null 2>&1 && exit 0; \
	$(call apt,software OpenGL,$(GL_PACKAGES)); \
	$(BIN)/python -m latentctx_envs.doctor

browser:
	@for name in $(BROWSER) chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	$(call apt,a headless browser,$(BROWSER))

demo: setup
	$(BIN)/latentctx demo --out $(OUT) $(DEMO)

test: setup
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

check: lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[agents,films,kitchen,ogbench,dev,bench]'
	$(BIN)/python benchmarks/run_all.py
	$(BIN)/python docs/tables.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
