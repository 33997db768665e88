module github.com/merlonhq/merlon

go 1.26.0

// The library: what its packages may import beside the standard library.
require (
	github.com/corazawaf/libinjection-go v0.3.5
	github.com/microcosm-cc/bluemonday v1.0.27
	golang.org/x/crypto v0.58.0
	golang.org/x/net v0.62.0
	golang.org/x/text v0.43.0
)

// The service and its command.
require (
	github.com/DeRuina/timberjack v1.4.9
	github.com/alecthomas/kong v1.17.0
	github.com/goccy/go-yaml v1.19.2
	github.com/joho/godotenv v1.5.1
	github.com/pressly/goose/v3 v3.29.0
	golang.org/x/sync v0.24.0
	modernc.org/sqlite v1.61.1
)

// Tests.
require (
	github.com/google/go-cmp v0.7.0
	pgregory.net/rapid v1.3.0
)
