// Package postgrestest starts PostgreSQL servers for tests: on a free port of loopback, in a temporary directory, gone
// when the tests are over.
//
// The programs are looked for in PATH and where Debian puts them. Without them a test is skipped, and fails when the
// variable CI is "true": there they must be installed. PostgreSQL refuses to run as root; for root it is started as the
// user postgres, or nobody.
//
// The databases are ordered by the rules of English (ICU), not by bytes, so that what counts on an order of bytes
// without saying so is found.
package postgrestest
