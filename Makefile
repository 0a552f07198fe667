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
REVISION := $(shell git rev-parse -q --verify HEAD 2>/dev/null)
COMMITTED := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
CILIUM   := $(shell sed -n 's/^[[:space:]]*\(require \)\{0,1\}github.com\/cilium\/cilium \(v[^ ]*\).*/\2/p' conformance/go.mod conformance/oracle/go.mod 2>/dev/null | head -1)
CHART    := examples/chart/cilium-$(CILIUM:v%=%).tgz
COMMANDS := $(notdir $(wildcard cmd/*))
TIMEOUT  ?= 40m
SOAKTIME ?= 1m
SEARCHTIME ?= 2h

# The race detector needs cgo and a C compiler; without them tests run plainly.
CC_FOUND := $(shell command -v "$$($(GO) env CC 2>/dev/null || echo gcc)" 2>/dev/null)
ifneq ($(CC_FOUND),)
RACE := -race
TEST_ENV := CGO_ENABLED=1
endif

.PHONY: help demo build probe chart binaries image install-yaml plugins release-tools test vet test-servers unit conformance fresh fresh-crd e2e conformance-full search bench lint generate generate-crd soak clean need-go need-git

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

chart: $(CHART)

# The same build for another platform: GOOS, GOARCH.
binaries: need-go $(CHART)
	@mkdir -p $(BIN)
	@for c in $(COMMANDS); do \
		GOOS=$(GOOS) GOARCH=$(GOARCH) CGO_ENABLED=0 $(GO) build -buildvcs=$(VCS) -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/$$c ./cmd/$$c; \
	done

image: need-go ## Build the images FROM scratch for amd64 and arm64 as OCI layouts in out/image; PUSH=REGISTRY/OWNER pushes them
	@rm -rf $(OUT)/image && mkdir -p $(OUT)/image
	@for arch in amd64 arm64; do $(MAKE) binaries GOOS=linux GOARCH=$$arch BIN=$(OUT)/linux-$$arch; done
	@for c in $(COMMANDS); do \
		[[ $$c == remediate ]] && bare= || bare=--bare; \
		push=$${PUSH:+--push=$$PUSH/$$c:$(VERSION)}; \
		$(GO) run -C tools/release ./image $$bare --name=$$c --version=$(VERSION) --revision="$(REVISION)" --created=$(COMMITTED) \
			--binary=linux/amd64=$(CURDIR)/$(OUT)/linux-amd64/$$c --binary=linux/arm64=$(CURDIR)/$(OUT)/linux-arm64/$$c \
			--out=$(CURDIR)/$(OUT)/image/$$c $$push >$(OUT)/image/$$c.digest; \
		echo "$(OUT)/image/$$c $$(cat $(OUT)/image/$$c.digest)"; \
	done

install-yaml: need-go ## Write out/install.yaml, the default installation in one file, with the images of VERSION
	@mkdir -p $(OUT)
	@$(GO) run -C tools/release ./install --dir=$(CURDIR)/config/default --version=$(VERSION) --out=$(CURDIR)/$(OUT)/install.yaml

plugins: need-go # the manifests for flux and krew, from dist/checksums.txt
	@$(GO) run -C tools/release ./plugins --version=$(VERSION) --checksums=$(CURDIR)/dist/checksums.txt --out=$(CURDIR)/dist

# The chart that the binary carries for its demo: the one inside Cilium's module,
# packed so that the same version gives the same bytes.
$(CHART): | need-go
	@tools/chart.sh $(CILIUM) $@

test: need-go need-git vet unit conformance release-tools fresh ## All that a change must pass; needs no root

vet: need-go $(CHART)
	$(GO) vet ./...

# The servers that tests start (kube-apiserver, Flux, Gitea ...) compile for many
# minutes once; no test's time limit holds that.
test-servers: need-go need-git $(CHART)
	$(TEST_ENV) $(GO) test $(RACE) -timeout 40m -run '^TestTools$$' ./internal/testbed

unit: need-go need-git $(CHART) test-servers
ifeq ($(RACE),)
	@echo 'note: no C compiler, so no race detector: sudo apt-get install -y gcc libc6-dev'
endif
	$(TEST_ENV) $(GO) test $(RACE) -timeout $(TIMEOUT) ./...

conformance: need-go ## Compare the model with Cilium's own engine and with what real agents did, as recorded
	$(GO) test -timeout $(TIMEOUT) ./e2e/matrix ./e2e/startup
	cd conformance && $(GO) test -timeout $(TIMEOUT) ./...
	cd conformance/yamledit && $(GO) test -timeout $(TIMEOUT) ./...

release-tools: need-go ## Test what makes images, install.yaml and plugin manifests
	cd tools/release && $(TEST_ENV) $(GO) test $(RACE) -timeout $(TIMEOUT) ./...

# The custom resources: what encodes them, and their definitions.
CRDGEN = $(GO) tool -modfile=tools/crd/go.mod controller-gen paths=./api/v1alpha1

fresh: build fresh-crd ## Check that docs/reference and the custom resources are what the code says
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(BIN)/remediate docs "$$tmp"; \
	if ! diff -r "$$tmp" docs/reference; then \
		echo 'error: docs/reference is out of date: run "make generate" and commit the result' >&2; exit 1; \
	fi; \
	echo 'ok  	docs/reference is fresh'

fresh-crd: need-go
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(CRDGEN) object crd output:object:dir="$$tmp" output:crd:dir="$$tmp/bases"; \
	if ! diff -r "$$tmp/bases" config/crd/bases || ! diff "$$tmp/zz_generated.deepcopy.go" api/v1alpha1/zz_generated.deepcopy.go; then \
		echo 'error: config/crd or api/v1alpha1 is out of date: run "make generate" and commit the result' >&2; exit 1; \
	fi; \
	echo 'ok  	config/crd is fresh'

e2e: need-go $(CHART) ## Tests on real Cilium agents; needs root, and clang-19 (builds the agent first: minutes, once)
	$(GO) test -tags e2e -timeout 60m -run '^Test(Datapath)?Tools$$' ./internal/testbed
	$(GO) test -tags e2e -count 1 -p 1 -timeout 60m ./internal/testbed/cilium ./e2e/...
	$(GO) test -tags e2e -count 1 -timeout 60m -run '^TestAgentsStory$$' -v ./remediate/controller/storytest

conformance-full: need-go $(CHART) ## All flows of the matrix and all starts on real agents, as root; make e2e has a core of them
	$(GO) test -tags e2e -timeout 60m -run '^Test(Datapath)?(Tools|Releases)$$' ./internal/testbed
	REMEDIATE_FULL=1 $(GO) test -tags e2e -count 1 -p 1 -timeout 120m -v ./e2e/...
	$(GO) test -tags e2e -count 1 -timeout 60m -run '^TestAgentsVariants$$' -v ./remediate/controller/storytest
	for release in $(notdir $(patsubst %/go.mod,%,$(wildcard internal/testbed/cilium/module/*/go.mod))); do \
		REMEDIATE_CILIUM=$$release REMEDIATE_FULL=1 $(GO) test -tags e2e -timeout 120m -v -run '^TestMatrix$$' ./e2e || exit 1; \
	done

search: need-go $(CHART) ## Random configurations, policies and flows on real agents for SEARCHTIME, as root: where is the model wrong
	$(GO) test -tags e2e -timeout 60m -run '^Test(Datapath)?Tools$$' ./internal/testbed
	REMEDIATE_SEARCH=$(SEARCHTIME) $(GO) test -tags e2e -timeout 0 -run '^TestSearch$$' -v ./e2e

bench: need-go ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./...

lint: need-go ## Run golangci-lint (built on first use, which takes minutes)
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

generate: generate-crd ## Write docs/reference, config/probe and config/crd/bases from the code
	@$(MAKE) build
	@rm -rf docs/reference config/probe && mkdir -p docs/reference config/probe
	@$(BIN)/remediate docs docs/reference
	@$(BIN)/remediate manifests config/probe

generate-crd: need-go
	@rm -rf config/crd/bases
	@$(CRDGEN) object crd output:crd:dir=config/crd/bases
	@rm -rf charts/remediate/crds && cp -R config/crd/bases charts/remediate/crds

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
