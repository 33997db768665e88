// Package findings looks for settings that are accepted and weaken a control, and
// for files of the settings that others may read or change. Package config refuses
// what cannot be right; this package judges what can be and is better otherwise.
//
// Every finding has a stable id, a severity, and an entry in [Docs], from which
// docs/checks.md is made. A finding never holds a secret nor what is in a file.
package findings
