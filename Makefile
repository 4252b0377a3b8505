# Everything runs in .venv/, which `make setup` makes here; nothing needs to be activated.

BIN = .venv/bin
INSTALLED = .venv/.installed

.PHONY: help setup test test-all demo build bench clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(INSTALLED) ## make .venv/ and install everything in it (again only when the pins change)

# The stamp is written last and removed first, so an environment without it is unfinished and is
# made anew. A candidate is tried by running it: a version manager's shim may exist and not work.
$(INSTALLED): requirements.txt pyproject.toml
	@if ! test -f $@; then \
	  for python in "$(PYTHON)" python3.13 python3.12 python3.11 python3 none; do \
	    "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	      </dev/null >/dev/null 2>&1 && break; \
	  done; \
	  if test "$$python" = none; then \
	    echo 'make setup: no Python 3.11 or newer with its venv module was found.' >&2; \
	    echo 'Install one (on Debian and Ubuntu: python3 and python3-venv), or name yours:' \
	      'make setup PYTHON=/path/to/python3' >&2; \
	    exit 1; \
	  fi; \
	  echo "Making .venv with $$python ($$("$$python" --version))"; \
	  "$$python" -m venv --clear .venv || exit 1; \
	fi
	@rm -f $@
	@echo 'Installing the pinned packages (the first time takes minutes) ...'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

CHECK = $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test: setup ## lint, check the types, run the tests but the slow ones
	$(CHECK)
	$(PYTEST)

test-all: setup ## the same with the slow tests
	$(CHECK)
	$(PYTEST) -m 'slow or not slow'

demo: setup ## grade a made-up class in the sandbox and write an HTML report
	$(BIN)/gradus demo

build: setup ## make assignments/ from solutions/
	$(BIN)/gradus build

bench: setup ## run every benchmark
	@for file in benchmarks/*.py; do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

clean: ## remove all that these targets made, .venv/ too
	rm -rf .venv .gradus demo build dist gradus_course.egg-info lib/gradus_course.egg-info \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
