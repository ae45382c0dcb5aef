# Yunduo Archive. `make help` lists what there is to do.

# One set of build flags for every binary: static, without paths of this
# machine, the same bytes for the same commit.
# The processor is that of the library in place (make layer), unless ARCH says
# otherwise; without a library that of most machines.
ARCH     ?= $(or $(shell cat layers/finance-sdk/lib/arch 2>/dev/null),x86_64)
GOARCH   := $(if $(filter arm64,$(ARCH)),arm64,amd64)
GO_BUILD := CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags '-s -w -buildid='

BUILD     := build
FUNCTIONS := Api Dispatch Pull Decode Media Inspect
WORKER    := $(BUILD)/FinanceSdkLayer/finance-sdk/worker
LIBRARY   := layers/finance-sdk/lib/$(ARCH)/libWeWorkFinanceSdk_C.so
# Runs a command with DynamoDB Local and moto beside it.
WITH_AWS  := go run ./local/aws/cmd/withaws --
# The browser that the tests of web/ run in.
CHROMIUM  ?= /usr/bin/chromium

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- what sam build calls, one per resource of template.yaml -----------------
# ARTIFACTS_DIR is given by sam; without sam it is build/<LogicalId>.
build-ApiFunction build-DispatchFunction build-PullFunction build-DecodeFunction build-MediaFunction build-InspectFunction: build-%Function:
	@$(GO_BUILD) -o $(or $(ARTIFACTS_DIR),$(BUILD)/$*Function)/bootstrap ./functions/$(shell echo $* | tr A-Z a-z)

build-FinanceSdkLayer:
	@test -f $(LIBRARY) || { echo "The vendor's library for $(ARCH) is not in place: fetch its package (layers/finance-sdk/README.md says where) and run make layer SDK=<the package> ARCH=$(ARCH)." >&2; exit 1; }
	@mkdir -p $(or $(ARTIFACTS_DIR),$(BUILD)/FinanceSdkLayer)/finance-sdk
	@cp $(LIBRARY) $(or $(ARTIFACTS_DIR),$(BUILD)/FinanceSdkLayer)/finance-sdk/
	@$(GO_BUILD) -o $(or $(ARTIFACTS_DIR),$(BUILD)/FinanceSdkLayer)/finance-sdk/worker ./layers/finance-sdk/worker
.PHONY: build-ApiFunction build-DispatchFunction build-PullFunction build-DecodeFunction build-MediaFunction build-InspectFunction build-FinanceSdkLayer

# ---- deploying ---------------------------------------------------------------
# The worker as this machine can run it, to look at libraries with.
$(BUILD)/host/worker: FORCE
	@CGO_ENABLED=0 go build -buildvcs=false -o $@ ./layers/finance-sdk/worker
FORCE:

.PHONY: layer
layer: $(BUILD)/host/worker ## Put the vendor's library in place: SDK=<.tgz, folder or .so> ARCH=x86_64|arm64
	@go run ./cmd/sdk install -worker $< -arch "$(ARCH)" -consent "$(CONSENT)" "$(SDK)"
	@$(MAKE) --no-print-directory build-FinanceSdkLayer ARCH=$(ARCH)

.PHONY: sdk-check
sdk-check: $(BUILD)/host/worker ## Load a library here and report what it does: SDK=<.tgz, folder or .so>
	@go run ./cmd/sdk check -worker $< "$(SDK)"

.PHONY: ready
ready: ## Check an environment of samconfig.toml before it is deployed: ENV=<name>
	@go run ./cmd/ready $(ENV)

.PHONY: deploy
deploy: ## Build, check and deploy an environment of samconfig.toml: ENV=<name>
	@command -v sam >/dev/null || { echo "The AWS SAM CLI is missing: see docs/deploying.md" >&2; exit 1; }
	@go run ./cmd/ready $(ENV)
	@sam build --config-env $(ENV)
	@go run ./cmd/ready -built $(ENV)
	@sam deploy --config-env $(ENV)

.PHONY: rebuild
rebuild: ## Empty a company's view and let it be built anew from the journal: ENV=<name> CORP=<corpid>
	@go run ./cmd/rebuild -env "$(ENV)" -corp "$(CORP)"

.PHONY: cost
cost: ## Estimate a month's bill: MESSAGES=1000000 MEDIA_GB=10 CORPS=10 (REGION=, NATS=)
	@go run ./cmd/cost $(foreach v,MESSAGES MEDIA_GB CORPS REGION NATS,$(if $($(v)),-$(shell echo $(v) | tr A-Z_ a-z-) $($(v))))

# ---- the console's source ----------------------------------------------------
.PHONY: web
web: web/node_modules/.package-lock.json ## Build the voice player, as a page and as a package (web/dist)
	@cd web && npm run build --silent

# npm writes the file last, so an installation that was broken off is made again.
web/node_modules/.package-lock.json: web/package-lock.json web/.npmrc
	@cd web && npm ci --loglevel=error --no-audit --no-fund >/dev/null

# ---- on this machine ---------------------------------------------------------
.PHONY: build
build: $(FUNCTIONS:%=build-%Function) ## Build every function and the worker
	@$(GO_BUILD) -o $(WORKER) ./layers/finance-sdk/worker

.PHONY: run-tools tools
run-tools:
	@command -v go   >/dev/null || { echo "Go is missing: see go.dev/doc/install" >&2; exit 1; }
	@command -v cc   >/dev/null || { echo "A C compiler is missing: apt-get install gcc libc6-dev" >&2; exit 1; }
	@command -v npm  >/dev/null || { echo "npm is missing: apt-get install npm" >&2; exit 1; }
	@command -v javac >/dev/null || { echo "A JDK is missing: apt-get install default-jdk-headless" >&2; exit 1; }
	@python3 -c 'import moto.server' 2>/dev/null || { echo "moto is missing: python3 -m pip install 'moto[server]'" >&2; exit 1; }
	@python3 -c 'import cfnlint, samtranslator' 2>/dev/null || { echo "cfn-lint or the SAM translator is missing: python3 -m pip install 'cfn-lint>=1.51' 'aws-sam-translator>=1.110'" >&2; exit 1; }

tools: run-tools
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' || \
		{ echo "Node $$(node --version) is too old: 20.19, or 22.12 and later, is needed (Debian 13 has it; nodejs.org)" >&2; exit 1; }
	@test -x "$(CHROMIUM)" || { echo "Chromium is missing: apt-get install chromium (or name a browser of its kind with CHROMIUM=)" >&2; exit 1; }

.PHONY: run
run: run-tools ## Start the whole system on this machine (ARGS='-h' lists its flags)
	@echo "building the functions ..."
	@$(MAKE) --no-print-directory build
	@go build -buildvcs=false -o $(BUILD)/cloud ./local/cmd/cloud
	@exec $(BUILD)/cloud $(ARGS)

.PHONY: test
test: tools lint build ## Check and run all tests
	@$(WITH_AWS) go test -shuffle=on -timeout 15m $$(go list ./... | grep -v '/local/e2e$$')
	@$(MAKE) --no-print-directory web-test
	@echo "the whole system, with functions killed at random ..."
	@$(WITH_AWS) go test -count=1 -timeout 15m ./local/e2e

.PHONY: web-test
web-test: tools web
	@echo "the voice player, in Node and in Chromium ..."
	@cd web && CHROMIUM="$(CHROMIUM)" npm test --silent

.PHONY: lint
lint: run-tools
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not formatted: $$out" >&2; exit 1; }
	@go vet ./...

.PHONY: check
check: tools lint build web-test ## Everything of test, with the race detector and staticcheck
	@go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	@$(WITH_AWS) go test -race -shuffle=on -timeout 30m ./...

.PHONY: fuzz
fuzz: ## Fuzz every parser for a short while
	@for pkg in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$pkg 2>/dev/null | grep ^Fuzz); do \
		echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s $$pkg || exit 1; done; done

.PHONY: bench
bench: run-tools build ## Measure on this machine; every figure is from one run
	@go run ./local/cmd/bench

.PHONY: size
size: build ## Size of each function, as it is and as it is uploaded
	@go run ./cmd/size $(FUNCTIONS:%=$(BUILD)/%Function) $(BUILD)/FinanceSdkLayer

.PHONY: clean
clean: ## Remove what was built
	@rm -rf $(BUILD) web/dist
