# Surgewall: `make help` lists every target.
SHELL      := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BINARIES := edge shield controller surgectl
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X github.com/surgewall/surgewall/cmd/internal/boot.version=$(VERSION)
FUZZTIME ?= 5s
# Two compilers at once are what a laptop's fan forgives; tests that start brokers and API servers are not CPU bound.
GOTEST   := go test -p 2
# Tests beside brokers and clusters: one that fails is tried once more by itself. If it passes then, the summary names it as failed once, which is a
# bug to mend but none of the change at hand; more than six failures (a subtest and its parents count each) are not tried again.
RETRYING  = $$(hack/tools/build gotestsum)/gotestsum --format standard-quiet --rerun-fails=1 --rerun-fails-max-failures=6 --rerun-fails-run-root-test

# A relative cache is the same directory to every script and test, wherever they run.
ifneq ($(SURGEWALL_CACHE),)
export SURGEWALL_CACHE := $(abspath $(SURGEWALL_CACHE))
endif

.PHONY: help
help: ## List every target with one line
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z0-9-]*:.*## / {printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the four binaries into bin/
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(BINARIES))

.PHONY: demo
demo: ## Cluster, chart, calm - spike - calm, receipt (Debian with Go and root; under 3 minutes once warm)
	go run ./hack/demo

.PHONY: demo-local
demo-local: ## The same flow without a cluster: origin, shield and two edges as processes on loopback
	go run ./hack/demo --local

.PHONY: clean-demo
clean-demo: ## Take away everything that the demo made: cluster, daemon, images, caches
	hack/kind/down --all
	rm -rf bin dist

.PHONY: test
test: deps test-unit test-integration test-faults-quick test-system ## Unit, integration, fault and system tests; installs and builds what they need

.PHONY: deps
deps: ## Install the Debian packages that tests and cluster need, and build kube-apiserver, kind, helm, kubectl and gotestsum
	hack/deps.sh test cluster
	hack/kubernetes/build server node >/dev/null
	hack/tools/build kind helm gotestsum >/dev/null

.PHONY: test-unit
test-unit: ## Unit tests: no broker, no API server, no root; under a minute
	$(RETRYING) --packages ./... -- -p 2 -short

.PHONY: test-integration
test-integration: ## Against a private RabbitMQ and a real kube-apiserver, and the engine's long stories
	SURGEWALL_REQUIRE_ALL=1 $(RETRYING) --packages "./internal/... ./events/... ./edge/... ./shield/... ./controllers/... ./cmd/... ./config/... ./charts/... ./hack/... ./test/conformance/..." -- -p 2 -count=1 -timeout 30m

.PHONY: test-faults
test-faults: ## Every fault that is promised to be borne, with the promises' own times, and 1,000 seeds of the simulation: about an hour, and a report
	SURGEWALL_REQUIRE_ALL=1 SURGEWALL_FAULTS=full go test -count=1 -timeout 30m -v -run "TestAThousandReconnectsLeakNothing|TestNothingConfirmedIsLost" ./internal/rabbitmq
	SURGEWALL_REQUIRE_ALL=1 SURGEWALL_FAULTS=full go test -count=1 -timeout 150m -v ./test/faults

.PHONY: test-faults-quick
test-faults-quick: ## The quick half of the faults, with short times
	SURGEWALL_REQUIRE_ALL=1 $(RETRYING) --packages ./test/faults -- -count=1 -timeout 30m -parallel 6

.PHONY: test-generations
test-generations: ## What touches the broker, on RabbitMQ 4.0 too, unpacked beside the machine's own
	SURGEWALL_REQUIRE_ALL=1 SURGEWALL_RABBITMQ_BIN=$$(hack/rabbitmq4/build) $(GOTEST) -count=1 -timeout 30m ./internal/testrabbit ./internal/rabbitmq ./config/rabbitmq ./cmd/... ./test/faults

.PHONY: test-system
test-system: ## Real pods in a kind cluster: spike, broker death, bad policy, drain, leader death
	hack/deps.sh cluster
	SURGEWALL_REQUIRE_ALL=1 SURGEWALL_SYSTEM=1 $(RETRYING) --format standard-verbose --packages ./test/system/... -- -count=1 -timeout 45m

.PHONY: test-nightly
test-nightly: ## A million random requests each for whole responses, slices and purges, and 200,000 random stories: nobody gets what is for another (about an hour)
	SURGEWALL_STORIES=$${SURGEWALL_STORIES:-200000} go test -count=1 -timeout 60m -run 'TestRandomStories' ./internal/httpcache
	SURGEWALL_LEAK_REQUESTS=$${SURGEWALL_LEAK_REQUESTS:-1000000} go test -count=1 -v -timeout 120m -run 'TestNobodyGets' ./internal/httpcache

.PHONY: test-race
test-race: ## Unit tests with the race detector
	$(RETRYING) --packages ./... -- -p 2 -race -short -timeout 30m

.PHONY: test-kind
test-kind: ## The cluster scripts: up, up again, crash, recover, down, nothing left behind
	hack/kind/test

.PHONY: fuzz-smoke
fuzz-smoke: ## Every fuzz target for FUZZTIME (5s)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: fuzz
fuzz: ## Every fuzz target for two minutes
	hack/fuzz.sh 2m

.PHONY: lint
lint: ## golangci-lint with the reasons in .golangci.yml
	$$(hack/tools/build golangci-lint)/golangci-lint run ./...

.PHONY: verify
verify: ## Formatting, module files, generated files and docs are in step
	hack/verify.sh

.PHONY: generate
generate: ## Write the generated documents
	go run ./hack/gendocs

.PHONY: check
check: verify lint test-race fuzz-smoke ## What a change has to pass before it is committed

.PHONY: bench
bench: ## Benchmarks: ratios within one run, allocations, memory
	go test -run '^$$' -bench . -benchmem ./events/... ./edge/... ./internal/... ./controllers/...
	go test -run '^$$' -bench . -benchtime 1x -timeout 20m ./test/conformance
	go test -run '^$$' -bench Fifty -benchtime 500x ./cmd/internal/tier
	$(MAKE) --no-print-directory bench-http

.PHONY: bench-onset
bench-onset: ## From the onset of a spike to the scale write that covers it, through a real broker and API server: 120 runs, about 10 minutes
	go run ./hack/onset

.PHONY: bench-controller
bench-controller: ## Processor time and memory of the controller with 2,000 edges at 1 Hz through a real broker and API server
	go run ./hack/bench/controller

.PHONY: bench-http
bench-http: ## Cache hits per core beside nginx and Varnish, in one run
	hack/deps.sh bench
	go run ./hack/bench/http

.PHONY: test-conformance
test-conformance: ## HTTP caching through the real shield: the matrix of collapsing cases, and the public suite (SURGEWALL_CACHE_TESTS)
	SURGEWALL_MATRIX_1000=1 go test -count=1 -v ./test/conformance
	hack/conformance/run --required 158
	hack/conformance/run --required 160 --optimal 95 -- --heuristic-freshness --share-set-cookie

.PHONY: compare
compare: ## HPA, KEDA's path, Knative and ours, their real code in virtual time, one table (SURGEWALL_TRACES=DIR adds recorded traffic)
	go -C hack/compare test ./...
	hack/compare/run --suite $${SURGEWALL_TRACES:+--data "$$SURGEWALL_TRACES"}

.PHONY: images
images: ## Container images as tar files in dist/images, without Docker
	hack/image/build --out dist/images all

.PHONY: kind-up
kind-up: ## Start (or recover) the kind cluster
	hack/kind/up

.PHONY: kind-down
kind-down: ## Delete the kind cluster and stop what was started for it
	hack/kind/down

.PHONY: kind-status
kind-status: ## Say what of the cluster is running
	hack/kind/status
