# Oakum. CI runs only these targets; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
SEEDS ?= 2000
FUZZTIME ?= 10s
AA ?= 10
BENCH ?= .
UNITFLAGS ?=
LINT := $(GO) tool -modfile=internal/tools/lint/go.mod golangci-lint
PKGS := ./...
BUILD := GO='$(GO)' internal/tools/build.sh
# Only oakum tells its commit, and only where git lets this user read the checkout.
STAMP = $(shell git rev-parse HEAD >/dev/null 2>&1 && echo -buildvcs=auto)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

.PHONY: help build packages test check fmt lint generate unit e2e e2e-sandbox e2e-rollouts e2e-parts aa fuzz sim bench scale images stack stack-up stack-down demo demo-real clean root stack-command demo-command
.NOTPARALLEL: # the order of prerequisites counts

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/oakum
	@$(BUILD) bin/oakum ./cmd/oakum $(STAMP)

test: UNITFLAGS = -vet=off -skip='^TestWorld$$' # lint vets, and sim is TestWorld
test: fmt lint unit sim demo ## what needs no root and nothing but Go: checks, units, worlds, the story on a model

check: fmt lint ## format, lint, architecture
	$(GO) test ./internal/archtest

fmt: ## fail on files that gofmt would change
	@files=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go' | grep -v '\.pb\.go$$')); \
	if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi

lint: ## run the linters, go vet among them
	$(LINT) run

generate: ## make the plugin protocol, the drawings and the generated parts of the pages anew
	plugins/proto/generate.sh
	$(GO) -C internal/tools/drawing run . $(CURDIR)/docs/drawings/*.dot
	$(GO) test -count=1 ./docs -run '^TestGeneratedPartsOfThePages$$' -update

unit: ## tests that need nothing but Go
	$(GO) test $(UNITFLAGS) $(PKGS)
	cd examples/plugins/one-per-node && $(GO) test ./...

# Tests wait more than they work: three lanes run beside each other, each on stacks of
# its own. A lane ends by itself before CI would end it, and says where it stood.
SANDBOX := ^Test(Sandbox|Simulat)
IMAGES := ^Test(Bake|Image|OpenSSL)
E2E := $(GO) test -tags e2e -count=1 -p 1 -v -timeout 75m

packages: build ## a deb and an rpm with the service in dist/, with their checksums and a bill of materials
	packaging/build.sh dist

e2e: root build stack images ## tests on the real Nomad, Consul, Vault, Prometheus and QEMU, as root
	@internal/tools/beside.sh \
	  sandbox='$(MAKE) --no-print-directory e2e-sandbox' \
	  rollouts='$(MAKE) --no-print-directory e2e-rollouts' \
	  parts='$(MAKE) --no-print-directory e2e-parts'

e2e-sandbox:
	$(E2E) ./e2e -run '$(SANDBOX)'

e2e-rollouts:
	$(E2E) ./e2e -skip '$(SANDBOX)|$(IMAGES)'

e2e-parts:
	$(E2E) ./e2e -run '$(IMAGES)'
	$(E2E) $(filter-out %/e2e,$(shell $(GO) list -tags e2e ./e2e/... ./examples/...)) ./internal/vault ./internal/nomad/sandbox ./internal/inventory ./packaging

aa: root build stack images ## AA=n simulations and patches of the real shop that change nothing, and a good one in the noise: none may be rejected or turned back
	$(GO) test -tags e2e -count=1 -v -timeout 60m ./e2e -run '^TestSimulateAlike$$' -aa=$(AA)
	$(GO) test -tags e2e -count=1 -v -timeout 60m ./e2e -run '^TestShop$$/^judge$$/^(patches_that_change_nothing|a_good_patch_in_the_noise)$$' -aa=$(AA) -noise

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do \
	  for name in $$(grep -oP '^func \KFuzz\w+' $$f); do \
	    echo "$$name ($$(dirname $$f))"; $(GO) test $$(dirname $$f) -run='^$$' -fuzz="^$$name$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x; done; done

sim: ## the seeded world: SEEDS=n runs, a failure prints its seed
	$(GO) test -count=1 -v -timeout 2h ./internal/orchestrator -run '^TestWorld$$' -seeds=$(SEEDS)

bench: ## measure the budgets
	$(GO) test -run='^$$' -bench='$(BENCH)' -benchmem $(PKGS)

scale: build ## measure three servers beside a fleet in memory of 1,000 nodes and 100,000 instances; SCALE="-services=2000 ..." for others
	@$(BUILD) bin/scale ./e2e/scale
	@bin/scale $(SCALE)

root:
	@[ "$$(id -u)" = 0 ] || { echo "Nomad's clients mount folders, set limits and make network namespaces: run this as root" >&2; exit 1; }

images: build stack ## make the example's VM images, and the appliance in which scripts run
	examples/images/build.sh .stack/images
	examples/images/appliance.sh .stack/images/appliance bin/oakum
	examples/images/debian.sh .stack/images
	examples/images/agent.sh .stack/images

# A program is run as itself: go run neither passes a termination on nor ends with what it runs.
stack-command:
	@$(BUILD) bin/stack ./e2e/stack/cmd/stack

demo-command:
	@$(BUILD) bin/demo ./e2e/demo

stack: stack-command ## find the real Nomad, Consul, Vault, Prometheus, or build them once per machine
	@bin/stack build

stack-up: root stack ## run a stack on loopback; addresses and tokens in .stack/env
	@bin/stack up

stack-down: stack-command ## end it
	@bin/stack down

demo: build demo-command ## the main job on a fleet in memory, narrated; KEEP=1 leaves it up until Ctrl-C
	@bin/demo $(if $(KEEP),-keep)

demo-real: root build demo-command stack images ## the same on the real stack
	@bin/demo -real $(if $(KEEP),-keep)

clean: ## remove what was built, the stack's tools aside
	rm -rf bin
