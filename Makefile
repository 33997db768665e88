.PHONY: demo test bench fmt csp specmatic gosec testssl observatory slowhttptest idle h2spec events-10m crash dist reproducible licences fuzz

# What CONTRIBUTING.md and the README name; each target is one command.
demo:
	go run ./cmd/merlon demo

test:
	.ci/test

fmt:
	gofmt -w $$(git ls-files '*.go')

# Fills a database of 8 GiB in the temporary directory; takes a quarter of an hour or more.
events-10m:
	MERLON_EVENTS=10000000 go test -count=1 -run '^TestManyEvents$$' -v -timeout 3h ./server/internal/eventdb

bench:
	cd bench && go run ./cmd/compare

# Kills a server on SQLite a hundred times under writes; takes some minutes.
crash:
	MERLON_CRASH_ROUNDS=100 go test -count=1 -run 'TestKill$$' -v -timeout 60m ./cmd/merlon

.PHONY: chaos scaling

# Needs PostgreSQL and redis-server; takes some minutes. SEED=n draws the same lots again.
chaos:
	cd chaos && go test -count=1 -v -run TestChaos -timeout 30m . -chaos.full -chaos.seed $(or $(SEED),0)

# The same; what one node carries, and what each kind of request costs each store.
scaling:
	cd chaos && go test -count=1 -v -run 'TestScaling|TestTheCostOfARequest' -timeout 30m . -chaos.scaling

# Needs npm and Java 17; takes some minutes.
specmatic:
	cd tools/specmatic && npm ci --ignore-scripts --no-audit --no-fund
	SPECMATIC_JAR=$(CURDIR)/tools/specmatic/node_modules/specmatic/specmatic.jar go test -run TestSpecmatic -v -timeout 30m ./e2e

# Compiles a linter with many dependencies, which are none of this repository's.
gosec:
	go run github.com/securego/gosec/v2/cmd/gosec@v2.30.0 -quiet -severity high -exclude G101,G115 \
		-exclude-dir bench -exclude-dir browser -exclude-dir acmetest -exclude-dir chaos -exclude-dir linear -exclude-dir deploy -exclude-dir ratelimittest ./...

csp:
	cd tools/csp && npm ci --silent --no-audit --no-fund
	CSP_EVALUATOR=$(CURDIR)/tools/csp go test -count=1 -run TestCSPEvaluator ./headers

# Needs testssl.sh and dnsutils; takes a minute or two.
testssl:
	TESTSSL=$$(command -v testssl || command -v testssl.sh) go test -count=1 -run TestTestSSL -v ./cmd/merlon

# Needs npm.
observatory:
	cd tools/observatory && npm ci --ignore-scripts --silent --no-audit --no-fund
	OBSERVATORY=$(CURDIR)/tools/observatory go test -count=1 -run TestObservatory -v ./cmd/merlon

# Needs slowhttptest; takes four minutes.
slowhttptest:
	SLOWHTTPTEST=all go test -count=1 -run TestSlowClientsAreCutOff -v -timeout 15m ./cmd/merlon

idle:
	IDLE_CONNECTIONS=10000 go test -count=1 -run TestIdleConnections -v ./cmd/merlon

h2spec:
	go test -count=1 -run TestH2Spec -v ./cmd/merlon

# The files of a release, in dist: see tools/dist/dist for its variables.
dist:
	tools/dist/dist

# Builds twice, in two directories and with nothing of the one before, and compares.
reproducible:
	cd deploy && MERLON_REPRODUCIBLE=whole go test -count=1 -timeout 60m -run TestAReleaseIsTheSameBytesEverywhere -v .

# Fails for a module of the binary whose licence asks for more than a notice.
licences:
	tools/dist/licences

# Every fuzz target for a while each: FUZZTIME=10m make fuzz
fuzz:
	tools/fuzz/run
