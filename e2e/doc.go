// Package e2e holds no code. Its tests build the program and talk to it over
// HTTP alone, as a client does: what they expect is written out by hand from the
// contract of the service, not through its packages.
//
// Every answer that a test receives is checked for what all answers have in
// common (see checkAnswer), and every server for what it must not have written
// anywhere (see server.stop). Clients have loopback addresses of their own
// (127.0.0.0/8), since limits count addresses; where a system has one loopback
// address only, the tests are skipped.
package e2e
