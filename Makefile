# make run       the living shop: prints the dashboard's address, Ctrl-C stops everything
# make test      everything that must hold; needs Java and Maven too, for a real Kafka, and Chromium, which root has installed
# make cluster   the living shop on Kafka, PostgreSQL and Valkey, which it starts here and stops again; needs Java and Maven
# make pictures  docs/pictures anew, from the living shop; needs Chromium
# All need Python >= 3.11 and the package registries (PyPI, npm), and install into .venv; with a C compiler (cc), which
# only make test insists on, counting takes half as long. `make PYTHON=python3.13 run` chooses one.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-virtualenv
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml --group build

# What the hook builds that the installation runs: the dashboard's scripts and styles, and what is compiled.
BUILT_FROM := hatch_build.py $(wildcard backoffice/frontend/*.* backoffice/frontend/src/* event_store/compiled/*.[ch])

AXE := backoffice/frontend/node_modules/axe-core/axe.min.js

.PHONY: run test check chromium cluster compiler docs pictures lock clean

run: $(VENV)/installed
	@$(BIN)/countinghouse demo

test: compiler check $(VENV)/kafka/whole $(AXE) chromium
	$(BIN)/python -m pytest -n $(WORKERS)

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

cluster: $(VENV)/installed-test $(VENV)/kafka/whole
	@$(BIN)/python -m tests.cluster

pictures: $(VENV)/installed-test
	@$(BIN)/python -m tests.pictures

docs: $(VENV)/installed
	$(BIN)/python -m backoffice docs docs

# Writes the lock files anew from pyproject.toml and package.json, for every platform and Python that they allow.
lock: $(VENV)/created
	$(INSTALL) uv
	$(LOCK) --output-file requirements.lock
	$(LOCK) --group test --constraints requirements.lock --output-file requirements-test.lock
	$(INSTALL) --require-hashes -r requirements.lock
	cd backoffice/frontend && PATH='$(abspath $(BIN))':"$$PATH" npm run lock

clean:
	rm -rf $(VENV) build dist event_store/compiled/reader.* backoffice/static/dist backoffice/frontend/node_modules .pytest_cache .mypy_cache .ruff_cache

# Kafka's jars, for the broker that the tests start themselves.
$(VENV)/kafka/whole: tests/servers/pom.xml | $(VENV)/created
	@command -v java >/dev/null && command -v mvn >/dev/null || { \
		echo 'make test runs a real Kafka: it needs Java 17 or newer and Maven (java, mvn).' >&2; exit 1; }
	rm -rf $(VENV)/kafka
	mvn --quiet --batch-mode --file tests/servers/pom.xml dependency:copy-dependencies \
		-DoutputDirectory='$(abspath $(VENV))/kafka'
	@touch $@

# What the browser looks at the pages with. Their build brings it, where it isn't there from a source distribution.
$(AXE): | $(VENV)/installed-test
	cd backoffice/frontend && PATH='$(abspath $(BIN))':"$$PATH" npm ci --no-progress --loglevel=error

# What installing compiles with, where the machine has none. The tests hold what is compiled to what Python does.
compiler:
	@command -v $${CC:-cc} >/dev/null || { \
		command -v apt-get >/dev/null && test "$$(id -u)" = 0 || { \
			echo 'make test holds compiled code: it needs a C compiler (cc; package gcc: apt-get install gcc libc6-dev).' >&2; exit 1; }; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null; }

# The browser of the tests, where the machine has none.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		command -v apt-get >/dev/null && test "$$(id -u)" = 0 || { \
			echo 'make test drives a real browser: it needs Chromium (package chromium: apt-get install chromium).' >&2; exit 1; }; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The test lock holds everything the run lock does, in the same versions, so either may come first.
$(VENV)/installed: requirements.lock pyproject.toml $(BUILT_FROM) | $(VENV)/created
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-test: requirements-test.lock pyproject.toml $(BUILT_FROM) | $(VENV)/created
	$(INSTALL) --require-hashes -r requirements-test.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/installed
