# make demo: the main job on the example export · make test: the tests · make check: all that CI runs
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test test-slow test-tools lint check clean

demo: $(VENV)/.base
	$(BIN)/intimacy classify data/examples/*.info.json -o predictions.jsonl
	$(BIN)/intimacy profile predictions.jsonl --html profile.html

test: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow and not tools" -n 2

test-slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

test-tools: $(VENV)/.dev
	$(BIN)/pytest -m tools

check: test test-slow

lint: $(VENV)/.dev
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.base: $(VENV)/.pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train]" --group test --group lint
	touch $@

clean:
	rm -rf $(VENV) build dist predictions.jsonl profile.html
