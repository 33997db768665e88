.PHONY: demo test bench fmt csp

# What CONTRIBUTING.md and the README name; each target is one command.
demo:
	go run ./cmd/merlon demo

test:
	.ci/test

fmt:
	gofmt -w $$(git ls-files '*.go')

bench:
	cd bench && go run ./cmd/compare

csp:
	cd tools/csp && npm ci --silent --no-audit --no-fund
	CSP_EVALUATOR=$(CURDIR)/tools/csp go test -count=1 -run TestCSPEvaluator ./headers
