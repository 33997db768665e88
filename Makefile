.PHONY: demo test bench fmt

# What CONTRIBUTING.md and the README name; each target is one command.
demo:
	go run ./cmd/merlon demo

test:
	.ci/test

fmt:
	gofmt -w $$(git ls-files '*.go')

bench:
	cd bench && go run ./cmd/compare
