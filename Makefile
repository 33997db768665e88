.PHONY: demo test bench fmt csp specmatic gosec dist reproducible licences fuzz

# What CONTRIBUTING.md and the README name; each target is one command.
demo:
	go run ./cmd/merlon demo

test:
	.ci/test

fmt:
	gofmt -w $$(git ls-files '*.go')

bench:
	cd bench && go run ./cmd/compare

# Needs npm and Java 17; takes some minutes.
specmatic:
	cd tools/specmatic && npm ci --ignore-scripts --no-audit --no-fund
	SPECMATIC_JAR=$(CURDIR)/tools/specmatic/node_modules/specmatic/specmatic.jar go test -run TestSpecmatic -v -timeout 30m ./e2e

# Compiles a linter with many dependencies, which are none of this repository's.
gosec:
	go run github.com/securego/gosec/v2/cmd/gosec@v2.30.0 -quiet -severity high -exclude G101,G115 \
		-exclude-dir bench -exclude-dir browser -exclude-dir ratelimittest ./...

csp:
	cd tools/csp && npm ci --silent --no-audit --no-fund
	CSP_EVALUATOR=$(CURDIR)/tools/csp go test -count=1 -run TestCSPEvaluator ./headers

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
