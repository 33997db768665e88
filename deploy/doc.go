// Package deploy holds no code: its files are what an operator installs, and its tests
// hold them to their formats, to the program and to the documentation.
//
// It is a module of its own, because the schemas of others that the tests need are none
// of the library's: its users do not inherit them.
package deploy
