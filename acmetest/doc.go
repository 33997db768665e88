// Package acmetest tries the program against Pebble, the ACME authority that Let's
// Encrypt tests clients with. It is a module of its own: Pebble is no dependency of Merlon.
package acmetest
