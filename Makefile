SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO       ?= go
BIN      := bin
OUT      := out
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# The commit is stamped where Git answers; a checkout of another owner gets none.
VCS      := $(shell git rev-parse -q --verify HEAD >/dev/null 2>&1 && echo auto || echo false)
LDFLAGS  := -s -w -X main.version=$(VERSION)
CILIUM   := $(shell sed -n 's/^[[:space:]]*\(require \)\{0,1\}github.com\/cilium\/cilium \(v[^ ]*\).*/\2/p' conformance/go.mod conformance/oracle/go.mod 2>/dev/null | head -1)
CHART    := examples/chart/cilium-$(CILIUM:v%=%).tgz
COMMANDS := $(notdir $(wildcard cmd/*))
TIMEOUT  ?= 20m
SOAKTIME ?= 1m

# The race detector needs cgo and a C compiler; without them tests run plainly.
CC_FOUND := $(shell command -v "$$($(GO) env CC 2>/dev/null || echo gcc)" 2>/dev/null)
ifneq ($(CC_FOUND),)
RACE := -race
TEST_ENV := CGO_ENABLED=1
endif

.PHONY: help demo build probe test vet unit conformance fresh e2e bench lint generate soak clean need-go need-git

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## Diagnose the bundled incident: plan as text, and as HTML and Markdown in out/
	@mkdir -p $(OUT)
	@$(BIN)/remediate demo --output-dir $(OUT)

build: need-go $(CHART) ## Build the binaries into bin/
	@mkdir -p $(BIN)
	@for c in $(COMMANDS); do \
		CGO_ENABLED=0 $(GO) build -buildvcs=$(VCS) -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/$$c ./cmd/$$c; \
	done

probe: need-go ## Build bin/remediate-probe alone, the binary that runs on every node
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 $(GO) build -buildvcs=$(VCS) -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/remediate-probe ./cmd/remediate-probe

# The chart that the binary carries for its demo: the one inside Cilium's module,
# packed so that the same version gives the same bytes.
$(CHART): | need-go
	@tools/chart.sh $(CILIUM) $@

test: need-go need-git vet unit conformance fresh ## All that a change must pass; needs no root

vet: need-go $(CHART)
	$(GO) vet ./...

unit: need-go need-git $(CHART)
ifeq ($(RACE),)
	@echo 'note: no C compiler, so no race detector: sudo apt-get install -y gcc libc6-dev'
endif
	$(TEST_ENV) $(GO) test $(RACE) -timeout $(TIMEOUT) ./...

conformance: need-go ## Compare the model with Cilium's own engine and with the recorded runs
	cd conformance && $(GO) test -timeout $(TIMEOUT) ./...
	cd conformance/yamledit && $(GO) test -timeout $(TIMEOUT) ./...

fresh: build ## Check that docs/reference is what the code says
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(BIN)/remediate docs "$$tmp"; \
	if ! diff -r "$$tmp" docs/reference; then \
		echo 'error: docs/reference is out of date: run "make generate" and commit the result' >&2; exit 1; \
	fi; \
	echo 'ok  	docs/reference is fresh'

e2e: need-go ## Tests against a real API server and Flux (none in this release)
	@if [ -d e2e ]; then $(GO) test -timeout 60m ./e2e/...; else echo 'no end-to-end tests in this release'; fi

bench: need-go ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./...

lint: need-go ## Run golangci-lint (built on first use, which takes minutes)
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

generate: build ## Write docs/reference and config/probe from the code
	@rm -rf docs/reference config/probe && mkdir -p docs/reference config/probe
	@$(BIN)/remediate docs docs/reference
	@$(BIN)/remediate manifests config/probe

soak: need-go ## Long random tests: each fuzz target for SOAKTIME, property tests with many cases, full simulations
	@GO='$(GO)' SOAKTIME='$(SOAKTIME)' tools/soak.sh

clean: ## Remove bin/, out/ and the packed chart
	rm -rf $(BIN) $(OUT) examples/chart/*.tgz

need-go:
	@command -v $(GO) >/dev/null || { \
		echo 'error: Go is missing (1.26 or newer). Install it:' >&2; \
		echo '  curl -fsSL https://go.dev/dl/go1.26.8.linux-amd64.tar.gz | sudo tar -C /usr/local -xz && export PATH=$$PATH:/usr/local/go/bin' >&2; exit 1; }

need-git:
	@command -v git >/dev/null || { echo 'error: git is missing: sudo apt-get install -y git' >&2; exit 1; }
