// Package linear checks with porcupine that API keys and refresh tokens behave, for concurrent clients of two nodes on
// one database, as if each call happened at one instant between its beginning and its end. It has no code but its tests,
// and is a module of its own, so that their dependencies reach no user of the library.
package linear
