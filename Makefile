# Yunduo Archive. `make help` lists what there is to do.

# macOS ships make 3.81, which would ignore `undefine` below, or stop there without a
# reason.
ifeq ($(filter undefine,$(.FEATURES)),)
$(error make $(MAKE_VERSION) is too old: install GNU make 3.82 or newer, on macOS with brew install make, and then run gmake instead of make)
endif

# The version that functions log at their start and /health answers.
VERSION   := $(shell sed -n 's/^.. \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)

# What a person may write behind each target. Another name is refused, whether it is
# misspelt or of another target: make would ignore it.
READS_build       := ARCH ARTIFACTS_DIR
READS_layer       := SDK ARCH CONSENT
READS_sdk-check   := SDK
READS_ready       := ENV ONLINE
READS_deploy      := ENV ONLINE ARGS
READS_changeset   := ENV ONLINE ARGS
READS_smoke       := ENV CORP
READS_unprotect   := ENV
READS_rebuild     := ENV CORP
READS_fleet       := ENV ARGS
READS_keyquota    := ENV CORP UNPROVED IMPORTS_PER_DAY IMPORTS
READS_cost        := MESSAGES MEDIA_GB CORPS REGION NATS KEYS ALARMS CLASS BACKUP
READS_run         := ARCH ARGS
READS_unit        := PKG
READS_test        := ARCH CHROMIUM
READS_web-test    := ARCH CHROMIUM
READS_gallery     := CHROMIUM
READS_check       := ARCH CHROMIUM
READS_bench-large := MESSAGES ARGS ARCH
READS_web         :=
READS_lint        :=
READS_clean       :=
READS_help        :=
# Every other target builds something.
READS_OTHER       := ARCH
# Each part of the fault suite reads its own.
PARTS             := simulation mutants fuzz cloud contention
READS_simulation  := SEEDS SEED AGAIN
READS_mutants     := SEEDS
READS_fuzz        := EACH AGAIN
READS_cloud       := RUNS SEED AGAIN ARCH
READS_contention  := ARCH
READS_torture      = PART $(if $(PART),$(READS_$(PART)),$(sort $(foreach p,$(PARTS),$(READS_$p))))

# They come from the command line. A variable of the shell, such as ENV of a
# container, must not choose what is deployed. sam sets ARTIFACTS_DIR.
$(foreach v,$(filter-out ARTIFACTS_DIR CHROMIUM,$(sort $(foreach r,$(filter READS_%,$(.VARIABLES)),$($r)))),$(if $(findstring environment,$(origin $v)),$(eval override undefine $v)))

# A make below this one has the variables of the target above it.
ifeq ($(MAKELEVEL),0)
GOALS := $(or $(MAKECMDGOALS),help)
GIVEN := $(strip $(foreach v,$(.VARIABLES),$(if $(findstring command line,$(origin $v)),$(filter-out MAKEFLAGS MAKEOVERRIDES -*-command-variables-*-,$v))))
reads  = $(if $(filter build-%,$1),$(READS_build),$(if $(filter undefined,$(origin READS_$1)),$(READS_OTHER),$(READS_$1)))
READ  := $(foreach g,$(GOALS),$(call reads,$g))
STRAY := $(firstword $(filter-out $(READ),$(GIVEN)))
comma := ,
space := $(subst ,, )
ifneq ($(and $(filter torture,$(GOALS)),$(PART)),)
ifneq ($(words $(PART)) $(filter $(PARTS),$(PART)),1 $(PART))
$(error PART is "$(PART)": want one of $(subst $(space),$(comma) ,$(PARTS)))
endif
endif
ifeq ($(STRAY) $(filter smoke,$(GOALS)),TOKEN smoke)
$(error TOKEN belongs in the environment, which other users cannot read: TOKEN=... make smoke ENV=$(or $(ENV),dev))
endif
ifneq ($(STRAY),)
$(error make $(patsubst torture,torture$(if $(PART), PART=$(PART)),$(GOALS)) does not read $(STRAY): it reads $(or $(subst $(space),$(comma) ,$(strip $(filter-out ARTIFACTS_DIR,$(READ)))),no variable))
endif
# What make ready judges is samconfig.toml. These options of sam deploy would replace
# what it has judged, or the stack or the account that make deploy then protects.
JUDGED := --parameter-overrides --config-env --config-file --stack-name --region --profile --template-file --template -t --guided -g
ifneq ($(filter deploy changeset,$(GOALS)),)
PASSED := $(firstword $(filter $(JUDGED) $(addsuffix =%,$(JUDGED)),$(subst ",,$(subst ',,$(ARGS)))))
ifneq ($(PASSED),)
$(error ARGS has $(firstword $(subst =, ,$(PASSED))), which make ready would not see: $(if $(filter --profile --profile=%,$(PASSED)),set AWS_PROFILE,change samconfig.toml) instead)
endif
endif
ifneq ($(filter-out 1,$(ONLINE)),)
$(error ONLINE is "$(ONLINE)": want ONLINE=1, or leave it out)
endif
ifneq ($(filter-out 1,$(AGAIN)),)
$(error AGAIN is "$(AGAIN)": want AGAIN=1, or leave it out)
endif
endif

# One set of build flags for every binary and test, so that each package is
# compiled once: without cgo, without paths of this machine, the same bytes for
# the same commit. decode and the worker load libraries, so they link to libc; the
# others are static. Go would ask git for the version of a program, and fail where
# git refuses a folder of another user.
FLAGS := -trimpath -buildvcs=false -tags=lambda.norpc
export GOFLAGS := $(strip $(filter-out $(FLAGS),$(GOFLAGS)) $(FLAGS))
export CGO_ENABLED := 0

# The processor is that of the library in place (make layer), unless ARCH says
# otherwise; without a library that of most machines.
ARCH     ?= $(or $(shell cat layers/finance-sdk/lib/arch 2>/dev/null),x86_64)
GOARCH   := $(if $(filter arm64,$(ARCH)),arm64,amd64)
GO_BUILD := GOOS=linux GOARCH=$(GOARCH) go build -ldflags '-s -w -buildid= -X github.com/yunduo-scrm/archive/shared/lambdamain.Version=$(VERSION)'

BUILD     := build
FUNCTIONS := Api Dispatch Pull Decode Media Inspect
WORKER    := $(BUILD)/FinanceSdkLayer/finance-sdk/worker
LIBRARY   := layers/finance-sdk/lib/$(ARCH)/libWeWorkFinanceSdk_C.so
# $(call operate,NAME) begins a line that builds an operator's command and runs it:
# go run would add a line to each of its refusals.
operate    = go build -o $(BUILD)/host/$1 ./cmd/$1 && $(BUILD)/host/$1
# Runs a command with DynamoDB Local and moto beside it.
WITH_AWS  := go run ./local/aws/cmd/withaws --
# Installs what a command needs. It holds the only list of that.
SETUP     := CHROMIUM="$(CHROMIUM)" local/setup/setup.sh
# The browser that the tests of web/ run in; empty if setup has yet to find one.
CHROMIUM  ?=
BROWSER    = $(or $(CHROMIUM),$(shell command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome))
# Node.js and npm that setup installed, if any, come first.
NODE_PATH := PATH="$(CURDIR)/$(BUILD)/node/bin:$$PATH"

# Only make unit leaves tests out.
unexport YUNDUO_UNIT

ifeq ($(filter x86_64 arm64,$(ARCH)),)
$(error ARCH is "$(ARCH)": want x86_64 or arm64)
endif

# $(call want,NAME,example) is a line of a recipe that refuses an empty variable.
want = @$(if $(strip $($1)),:,{ echo "$1 is missing: make $@ $2" >&2; exit 1; })
# These lines refuse a variable that is not empty and not of their kind.
number   = @case "$($1)" in *[!0-9.]*|*.*.*|.) echo "$1 is \"$($1)\": want a number of 0 or more." >&2; exit 1 ;; esac
whole    = @case "$($1)" in *[!0-9]*|0*) echo "$1 is \"$($1)\": want a whole number above 0." >&2; exit 1 ;; esac
duration = @case "$($1)" in ''|[0-9]*[smh]) ;; *) echo "$1 is \"$($1)\": want a duration such as 30s or 3m." >&2; exit 1 ;; esac

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-zA-Z -]+:.*## /{sub(/ .*/, " ...", $$1); printf "  make %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- what sam build calls, one per resource of template.yaml -----------------
# ARTIFACTS_DIR is given by sam; without sam it is build/<LogicalId>.
build-ApiFunction build-DispatchFunction build-PullFunction build-DecodeFunction build-MediaFunction build-InspectFunction: build-%Function: ## Build one function; sam build calls it
	@$(if $(and $(filter Api,$*),$(ARTIFACTS_DIR)),test -f $(CONSOLE) || { echo "The console is not built: run make web first." >&2; exit 1; },:)
	@$(if $(ARTIFACTS_DIR),$(GO_BUILD) -o $(ARTIFACTS_DIR)/bootstrap ./functions/$(call lower,$*),$(MAKE) --no-print-directory $(BUILD)/$*Function/bootstrap)

build-FinanceSdkLayer: ## Build the layer of the vendor's library; sam build calls it
	@test -f $(LIBRARY) || { echo "The vendor's library for $(ARCH) is not in place: fetch its package (layers/finance-sdk/README.md says where) and run make layer SDK=<the package> ARCH=$(ARCH)." >&2; exit 1; }
	@mkdir -p $(or $(ARTIFACTS_DIR),$(BUILD)/FinanceSdkLayer)/finance-sdk
	@cp $(LIBRARY) $(wildcard $(LIBRARY).works-offline) $(or $(ARTIFACTS_DIR),$(BUILD)/FinanceSdkLayer)/finance-sdk/
	@$(GO_BUILD) -o $(or $(ARTIFACTS_DIR),$(BUILD)/FinanceSdkLayer)/finance-sdk/worker ./layers/finance-sdk/worker
.PHONY: build-ApiFunction build-DispatchFunction build-PullFunction build-DecodeFunction build-MediaFunction build-InspectFunction build-FinanceSdkLayer

# ---- deploying ---------------------------------------------------------------
# The worker as this machine can run it, to look at libraries with.
HOST_WORKER := $(BUILD)/host/worker
host-worker  = @go build -o $(HOST_WORKER) ./layers/finance-sdk/worker

.PHONY: layer
layer: ## Put the vendor's library in place: SDK=<.tgz, folder or .so> ARCH=x86_64|arm64
	$(call want,SDK,SDK=<the vendor's .tgz or folder or .so> ARCH=x86_64|arm64)
	$(host-worker)
	@$(call operate,sdk) install -worker $(HOST_WORKER) -arch "$(ARCH)" -consent "$(CONSENT)" "$(SDK)"
	@$(MAKE) --no-print-directory build-FinanceSdkLayer ARCH=$(ARCH)

.PHONY: sdk-check
sdk-check: ## Load a library here and report what it does: SDK=<.tgz, folder or .so>
	$(call want,SDK,SDK=<the vendor's .tgz or folder or .so>)
	$(host-worker)
	@$(call operate,sdk) check -worker $(HOST_WORKER) "$(SDK)"

.PHONY: ready
ready: ## Check a block of samconfig.toml before it is deployed: ENV=<name> (ONLINE=1: ask AWS too)
	$(call want,ENV,ENV=<a block of samconfig.toml>)
	@$(call operate,ready) $(if $(ONLINE),-online) "$(ENV)"

# What make ready judges is what SAM is given: every parameter, from one file.
PARAMETERS = $(BUILD)/parameters-$(ENV).toml
SAM_DEPLOY = sam deploy --config-env "$(ENV)" --parameter-overrides "file://$(PARAMETERS)"

define sam-build
	@$(call operate,ready) $(if $(ONLINE),-online,-living) $(PREVIEW) -write "$(PARAMETERS)" "$(ENV)"
	@command -v sam >/dev/null || { echo "The AWS SAM CLI is missing: see docs/deploying.md" >&2; exit 1; }
	@$(MAKE) --no-print-directory web
	@sam build --config-env "$(ENV)"
	@$(call operate,ready) -built "$(ENV)"
endef

.PHONY: deploy
deploy: ## Build, check and deploy a block of samconfig.toml: ENV=<name> (ARGS='<of sam deploy>')
	$(call want,ENV,ENV=<a block of samconfig.toml>)
	$(sam-build)
	@$(SAM_DEPLOY) $(ARGS)
	@$(call operate,protect) "$(ENV)"

.PHONY: changeset
changeset: PREVIEW = -preview
changeset: ## Show what a deployment would change, and change nothing: ENV=<name> (ARGS='<of sam deploy>')
	$(call want,ENV,ENV=<a block of samconfig.toml>)
	$(sam-build)
	@$(SAM_DEPLOY) --no-execute-changeset $(ARGS)

# The token comes by the environment; as an argument, other users would see it.
.PHONY: smoke
smoke: ## Ask a deployed API for its health, with a token and a callback: TOKEN=<of an admin> in the environment, ENV=<name> (CORP=<corpid>)
	$(call want,ENV,ENV=<a block of samconfig.toml>)
	@$(call operate,smoke) -env "$(ENV)" $(if $(CORP),-corp "$(CORP)")

.PHONY: unprotect
unprotect: ## Allow the deletion of a stack, until the next deployment: ENV=<name>
	$(call want,ENV,ENV=<a block of samconfig.toml>)
	@$(call operate,protect) -off "$(ENV)"

.PHONY: rebuild
rebuild: ## Empty a company's view and build the view again from the journal: ENV=<name> CORP=<corpid>
	$(call want,ENV,ENV=<a block of samconfig.toml> CORP=<corpid>)
	$(call want,CORP,ENV=$(ENV) CORP=<corpid>)
	@$(call operate,rebuild) -env "$(ENV)" -corp "$(CORP)"

.PHONY: fleet
fleet: ## List all companies, the worst first, with what to do: ENV=<name> (ARGS=-unwell)
	$(call want,ENV,ENV=<a block of samconfig.toml>)
	@$(call operate,fleet) -env "$(ENV)" $(ARGS)

.PHONY: keyquota
keyquota: ## Show or raise the bounds of a company's keys: ENV=<name> CORP=<corpid> (UNPROVED=, IMPORTS_PER_DAY=, IMPORTS=)
	$(call want,ENV,ENV=<a block of samconfig.toml> CORP=<corpid>)
	$(call want,CORP,ENV=$(ENV) CORP=<corpid>)
	$(call whole,UNPROVED)
	$(call whole,IMPORTS_PER_DAY)
	$(call whole,IMPORTS)
	@$(call operate,keyquota) -env "$(ENV)" -corp "$(CORP)" $(foreach v,UNPROVED IMPORTS_PER_DAY IMPORTS,$(if $($(v)),-$(shell echo $(v) | tr A-Z_ a-z-) $($(v))))

.PHONY: cost
cost: ## Estimate a month's bill: MESSAGES=1000000 MEDIA_GB=10 CORPS=10 (REGION=, NATS=, KEYS=, ALARMS=, CLASS=, BACKUP=)
	$(call number,MESSAGES)
	$(call number,MEDIA_GB)
	$(call number,CORPS)
	$(call number,NATS)
	@$(call operate,cost) $(foreach v,MESSAGES MEDIA_GB CORPS REGION NATS KEYS ALARMS CLASS BACKUP,$(if $($(v)),-$(shell echo $(v) | tr A-Z_ a-z-) $($(v))))

.PHONY: drill
drill: ## Practise a restoration on the local services: lose everything, restore, verify
	@$(SETUP) servers
	@$(MAKE) --no-print-directory $(WORKER)
	@$(WITH_AWS) go run ./local/cmd/drill

# ---- the console -------------------------------------------------------------
# The console is what the function api embeds. This file is written last.
CONSOLE     := functions/api/internal/console/dist/build.json
WEB_SOURCES := $(wildcard web/*.js web/*.json) functions/api/openapi.yaml $(shell find web/src -type d -o -type f 2>/dev/null)

.PHONY: web
web: $(CONSOLE) ## Build the console, which api embeds, the client and the voice player (web/dist)
	@cd web && $(NODE_PATH) npm run build:voice --silent && $(NODE_PATH) npm run build:client --silent

$(CONSOLE): web/node_modules/.package-lock.json $(WEB_SOURCES)
	@echo "building the console ..."
	@cd web && $(NODE_PATH) npm run build:console --silent

# npm writes the file last, so an interrupted installation is repeated.
web/node_modules/.package-lock.json: web/package-lock.json web/.npmrc
	@$(SETUP) web
	@echo "fetching what web/ is built of ..."
	@cd web && $(NODE_PATH) npm ci --loglevel=error --no-audit --no-fund >/dev/null

# ---- on this machine ---------------------------------------------------------
.PHONY: build
build: $(FUNCTIONS:%=$(BUILD)/%Function/bootstrap) $(WORKER) ## Build every function and the worker

# Go would link each function again at every run: an empty build id hides that
# nothing changed. Folders count as well: their time tells of removed files.
SOURCES := go.mod go.sum Makefile CHANGELOG.md $(shell find functions shared layers/finance-sdk/worker -path $(patsubst %/,%,$(dir $(CONSOLE))) -prune -o -type d -o -type f ! -name '*_test.go' 2>/dev/null)
lower    = $(shell echo $1 | tr A-Z a-z)

$(BUILD)/%Function/bootstrap: $(SOURCES) $(BUILD)/goarch
	@echo "building the function $* ..."
	@$(GO_BUILD) -o $@ ./functions/$(call lower,$*)

$(BUILD)/ApiFunction/bootstrap: $(CONSOLE)

$(WORKER): $(SOURCES) $(BUILD)/goarch
	@echo "building the worker ..."
	@$(GO_BUILD) -o $@ ./layers/finance-sdk/worker

# The processor of what is in place; newer than that where it differs.
$(BUILD)/goarch: FORCE
	@mkdir -p $(BUILD)
	@echo $(GOARCH) | cmp -s - $@ || echo $(GOARCH) >$@
FORCE:

# A wrong flag is refused before the functions are built, and -h needs none of them.
HELP = $(filter -h --h -help --help,$(ARGS))

.PHONY: run
run: ## Start the whole system on this machine (ARGS='-h' lists its flags)
	@$(SETUP) run
	@echo "building the local cloud ..."
	@go build -o $(BUILD)/cloud ./local/cmd/cloud
	@$(if $(HELP),,$(BUILD)/cloud -check $(ARGS))
	@$(if $(HELP),,$(MAKE) --no-print-directory build)
	@exec $(BUILD)/cloud $(ARGS)

.PHONY: unit
unit: ## Test what needs no server, with Go alone (PKG=./shared/message: one package, and those below it)
	@$(SETUP) unit
	@mkdir -p $(BUILD)
	@go build -o $(BUILD)/unit ./local/cmd/unit
	@$(BUILD)/unit $(PKG)

# The DynamoDB Local of a test lives for minutes at most: the JVM's second compiler, and a
# collector with threads of its own, take more time there than they save.
test web-test: export JAVA_TOOL_OPTIONS += -XX:TieredStopAtLevel=1 -XX:+UseSerialGC

# The last lines are those of go test, one for each package. lint has run go vet.
.PHONY: test
test: ## Check and test everything
	@$(SETUP) test
	@$(MAKE) --no-print-directory lint build web-test
	@echo "testing the whole system, with functions killed at random ..."
	@$(WITH_AWS) go test -vet=off -count=1 -timeout 15m ./local/e2e
	@echo "testing all packages ..."
	@$(WITH_AWS) go test -vet=off -shuffle=on -timeout 15m $$(go list ./... | grep -v '/local/e2e$$')

.PHONY: web-test
web-test: ## Test the console on the local cloud, and the voice player
	@$(SETUP) web-test
	@$(MAKE) --no-print-directory web build
	@go build -o $(BUILD)/cloud ./local/cmd/cloud
	@echo "testing the console and the voice player, in Node.js and in Chromium ..."
	@cd web && $(NODE_PATH) npm run check --silent
	@cd web && $(NODE_PATH) CHROMIUM="$(BROWSER)" npm test --silent

.PHONY: gallery
gallery: web/node_modules/.package-lock.json ## Draw every golden message on contact sheets (web/dist/gallery/sheets)
	@$(SETUP) web-test
	@cd web && $(NODE_PATH) CHROMIUM="$(BROWSER)" npm run gallery --silent

.PHONY: lint
lint: ## Check the format of the Go files, and what go vet finds
	@echo "checking format and vet ..."
	@out=$$(gofmt -l *.go cmd functions layers local shared); test -z "$$out" || { echo "not formatted: $$out" >&2; exit 1; }
	@go vet ./...

# No function scores above 40 by gocognit: a reader would lose the thread. Split it by
# meaning. A switch over kinds that reads as a table may be above: name its file in
# -ignore. None needs that today.
.PHONY: check
check: ## Everything of test, with the race detector, staticcheck, gocognit and 100,000 private-key operations
	@$(SETUP) test
	@$(MAKE) --no-print-directory lint build web-test
	@go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	@go run github.com/uudashr/gocognit/cmd/gocognit@v1.3.0 -exact-recursion -over 40 .
	@go test -count=1 ./shared/libcrypto -args -operations=100000
	@CGO_ENABLED=1 $(WITH_AWS) go test -race -vet=off -shuffle=on -timeout 30m ./...

.PHONY: torture
torture: ## Run a part of the fault suite, and go on where it stopped: PART=simulation|mutants|fuzz|cloud|contention (SEEDS=, SEED=, RUNS=, EACH=3m, AGAIN=1)
	$(call want,PART,PART=simulation)
	$(call whole,SEEDS)
	$(call whole,SEED)
	$(call whole,RUNS)
	$(call duration,EACH)
	@$(if $(filter cloud contention,$(PART)),$(SETUP) test && $(MAKE) --no-print-directory build)
	@mkdir -p $(BUILD)
	@go build -o $(BUILD)/host/torture ./local/cmd/torture
	@$(if $(filter cloud contention,$(PART)),$(WITH_AWS)) $(BUILD)/host/torture $(foreach v,SEEDS SEED RUNS EACH AGAIN,$(if $($v),-$(call lower,$v)=$($v))) $(PART)

.PHONY: bench
bench: ## Measure on this machine; every figure is from one run
	@$(SETUP) bench
	@$(MAKE) --no-print-directory build
	@go run ./local/cmd/bench
	@go run ./local/aws/cmd/withaws -- go test -run "^$$" -bench Tick ./functions/dispatch

.PHONY: bench-large
bench-large: ## Build an archive of MESSAGES=1000000 in build/large, or continue it, and measure it on the way (ARGS=-data= keeps it in memory)
	$(call whole,MESSAGES)
	@$(SETUP) bench
	@$(MAKE) --no-print-directory build
	@go run ./local/cmd/bench -large $(or $(MESSAGES),1000000) $(ARGS)

.PHONY: size
size: build ## Size of each function, as it is and as it is uploaded
	@$(call operate,size) $(FUNCTIONS:%=$(BUILD)/%Function) $(BUILD)/FinanceSdkLayer

.PHONY: sbom
sbom: build web ## List all that is shipped, one file for each binary and one for web/ (CycloneDX, in build/sbom)
	@mkdir -p $(BUILD)/sbom
	@for id in $(FUNCTIONS:%=%Function/bootstrap) FinanceSdkLayer/finance-sdk/worker; do \
		go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0 bin -json -std -noserial -version "$(VERSION)" -output "$(BUILD)/sbom/$${id%%/*}.json" "$(BUILD)/$$id" || exit 1; done
	@cd web && $(NODE_PATH) node sbom.js >"$(CURDIR)/$(BUILD)/sbom/web.json"
	@ls $(BUILD)/sbom/*.json

.PHONY: clean
clean: ## Remove what was built, and what setup installed below build/
	@rm -rf $(BUILD) web/dist
