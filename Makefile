# Everything runs in .venv/, which `make setup` makes here; nothing needs to be activated.

.PHONY: help setup test test-all demo build bench clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

include setup.mk

setup: $(INSTALLED) ## make .venv/ and install everything in it (again only when the pins change)

CHECK = $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

# Chromium, for tests/browser, which are skipped where there is none. It is looked for once: root
# gets the system's where there is one, others Playwright's, in their own cache.
BROWSER = .venv/.browser
APT = DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=0 -o Acquire::http::Timeout=10
$(BROWSER): $(INSTALLED)
	@if ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } \
	  >/dev/null; then \
	  echo 'Installing Chromium for the browser tests, if it can be had ...'; \
	  { $(APT) update && $(APT) install -y chromium || \
	    PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT=5000 $(BIN)/playwright install chromium; \
	  } >/dev/null 2>&1 </dev/null || echo 'No Chromium: the browser tests are skipped.'; \
	fi
	@touch $@

test: setup $(BROWSER) ## lint, check the types, run the tests but the slow ones
	$(CHECK)
	$(PYTEST)

test-all: setup $(BROWSER) ## the same with the slow tests
	$(CHECK)
	$(PYTEST) -m 'slow or not slow'

demo: setup ## grade a made-up class in the sandbox and write an HTML report
	$(BIN)/gradus demo

build: setup ## make assignments/ from solutions/
	$(BIN)/gradus build

bench: setup ## run every benchmark; the longest takes half an hour
	@for file in benchmarks/*.py; do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

clean: ## remove all that these targets made, .venv/ too
	rm -rf .venv .gradus demo build dist gradus_course.egg-info lib/gradus_course.egg-info \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis test-artifacts
	find . -name __pycache__ -prune -exec rm -rf {} +
