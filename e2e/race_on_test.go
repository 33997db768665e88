//go:build race

package e2e_test

// raceDetector is whether these tests, and so the program they build, run with
// the race detector.
const raceDetector = true
