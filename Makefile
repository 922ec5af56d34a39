# Parley's commands; `make help` lists them. Needs Python 3.11 or newer, the rest it installs.

PYTHON ?=
WORKERS ?= 2
OPTIONS ?=
POSTGRES_URL ?= postgres://postgres@127.0.0.1:5432/postgres
TEST_REDIS_URL ?= redis://127.0.0.1:6379/9
ROWS ?=
CODE := config common accounts models_registry quotas chat support

VENV := .venv
RUN := $(VENV)/bin/python
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help run test test-postgres test-faults mutations lint advisories format types messages documents bench bench-peers requirements
.PHONY: security-rows FORCE

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.installed ## Install what is missing, set everything up and serve on http://127.0.0.1:8000
	@exec $(RUN) manage.py serve

test: $(DEV) ## Run the whole test suite on SQLite and in memory, end-to-end tests included (OPTIONS="-k stop")
	$(RUN) -m pytest -n $(WORKERS) --dist loadscope $(OPTIONS)

test-postgres: $(DEV) ## The same on PostgreSQL and Redis (POSTGRES_URL, TEST_REDIS_URL)
	DATABASE_URL='$(POSTGRES_URL)' REDIS_URL='$(TEST_REDIS_URL)' $(RUN) -m pytest -n $(WORKERS) --dist loadscope $(OPTIONS)

test-faults: $(DEV) ## Run the slow tests of faults and of everything that takes its time
	$(RUN) -m pytest -n $(WORKERS) --dist loadscope tests/faults $(OPTIONS)

mutations: $(DEV) ## Take each defence away and see its test turn red (ROWS="O2 T5" for some)
	$(RUN) -m bin.mutations --postgres '$(POSTGRES_URL)' --redis '$(TEST_REDIS_URL)' $(ROWS)

lint: $(DEV) ## Check style, imports between apps, missing migrations, stale documents
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/bandit --quiet --configfile pyproject.toml --recursive $(CODE) deploy manage.py
	$(VENV)/bin/lint-imports
	$(RUN) manage.py makemigrations --check --dry-run
	$(RUN) manage.py document_settings --check

advisories: $(DEV) ## Ask the package index what is known against the pinned versions
	$(VENV)/bin/pip-audit --disable-pip --requirement requirements.txt

types: $(DEV) ## Check types, strictly
	$(RUN) -m mypy $(CODE) deploy manage.py tests bench

security-rows: $(VENV)/.installed ## List the rows of docs/security.md, their tests and how these ended
	@$(RUN) -m bin.security_rows

format: $(DEV) ## Lay out the code and mend what can be mended
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

messages: $(DEV) ## Bring locale/ in step with the texts in the code, and list what is not translated
	$(RUN) -m bin.messages

documents: $(VENV)/.installed ## Write .env.example and docs/configuration.md from the settings
	$(RUN) manage.py document_settings

bench: $(DEV) ## Measure streams, sockets, a million messages, starts (docs/performance.md); takes 20 minutes
	$(RUN) -m bench.run --write --postgres '$(POSTGRES_URL)'

bench-peers: $(DEV) ## The same streams through the LiteLLM proxy, which is installed apart
	$(RUN) -m bench.run --write --only peers

requirements: $(DEV) ## Pin requirements*.in anew into requirements*.txt, with hashes
	UV_CUSTOM_COMPILE_COMMAND='make requirements' $(UV_COMPILE) requirements.in -o requirements.txt
	UV_CUSTOM_COMPILE_COMMAND='make requirements' $(UV_COMPILE) requirements-dev.in -o requirements-dev.txt

UV_COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links $(UPGRADE)

# The stamps make a warm start install nothing. A virtual environment whose Python is gone is made anew.
$(VENV)/.installed: requirements.txt $(if $(wildcard $(VENV)/bin/python),,FORCE)
	@sh bin/install '$(PYTHON)' requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(VENV)/.installed
	@sh bin/install '$(PYTHON)' requirements.txt requirements-dev.txt
	@touch $@
