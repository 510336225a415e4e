# Targets for people and for CI. `make test` needs Docker; `make test-short` needs nothing but Go.
GOBIN   := $(shell go env GOPATH)/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT       := mvdan.cc/gofumpt@v0.12.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSITYGW     := github.com/versity/versitygw/cmd/versitygw@v1.8.0

.PHONY: demo build image test test-short bench lint images built

demo: ## everything at once, on SQLite, nothing to install
	go run ./cmd/switchback demo

build: ## one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/switchback ./cmd/switchback

image: build ## the same in a container image
	docker build -t switchback .

# These try thousands of cases, most of which are computing, for which the race detector takes ten times as long. The
# goroutines that they run are those that the other packages run with it, but for the workers of snapshots: the tests that
# have these read beside writers run with it too.
EXHAUSTIVE := ./integration/gate ./integration/recipes ./integration/schemas ./integration/seeds ./integration/snapshots

# What takes longest goes first: most of its time is waiting, and the others run beside it.
test: images built $(GOBIN)/versitygw ## the whole suite on all engines; starts and stops its own servers
	go run ./integration/servers/start -- sh -c '\
	  go test -race -parallel 4 -timeout 50m ./integration $$(go list ./... | grep -vxF "$$(go list $(EXHAUSTIVE))"); others=$$?; \
	  go test -race -run "Bank|UnderLoad" ./integration/snapshots || others=1; \
	  CGO_ENABLED=0 go test -parallel 4 -timeout 38m $(EXHAUSTIVE) && exit $$others'

test-short: ## what needs no server, in seconds
	go test -short ./...

bench: images ## side by side with the tools a user would pick instead
	SWITCHBACK_TEST_KUBERNETES=none go run ./integration/servers/start -- go run ./bench $(if $(CASES),-cases $(CASES))

images: ## the test servers' images: pulled, or built where no registry answers
	./integration/images/build.sh

built: ## the tests' Kubernetes control plane and Consul, built once for each version: minutes the first time
	go run ./integration/servers/build

lint: $(GOBIN)/golangci-lint $(GOBIN)/gofumpt $(GOBIN)/govulncheck
	@test -z "$$($(GOBIN)/gofumpt -l .)" || { echo "not formatted:"; $(GOBIN)/gofumpt -l .; exit 1; }
	go vet ./...
	go vet -tags failpoint ./...
	$(GOBIN)/golangci-lint run ./...
	@out=$$(timeout 300 $(GOBIN)/govulncheck ./... 2>&1) || { \
	  case "$$out" in *"fetching vulnerabilities"*|*"dial tcp"*|"") echo "govulncheck: its database cannot be reached, so nothing was checked";; \
	  *) echo "$$out"; exit 1;; esac; }

$(GOBIN)/golangci-lint:
	go install $(GOLANGCI_LINT)
$(GOBIN)/versitygw: # a server of S3, for the tests of the store
	go install $(VERSITYGW)
$(GOBIN)/gofumpt:
	go install $(GOFUMPT)
$(GOBIN)/govulncheck:
	go install $(GOVULNCHECK)
