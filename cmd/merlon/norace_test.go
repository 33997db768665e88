//go:build unix && !race

package main_test

// raceEnabled says that the tests run with the race detector, and so the
// program that they start does too.
const raceEnabled = false
