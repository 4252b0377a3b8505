# `make setup`, for this repository and the students': .venv/ with everything installed in it.

BIN = .venv/bin
INSTALLED = .venv/.installed

# The stamp is written last and removed first, so an environment without it is unfinished and is
# made anew. A candidate is tried by running it: a version manager's shim may exist and not work.
$(INSTALLED): requirements.txt pyproject.toml $(wildcard constraints.txt)
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
