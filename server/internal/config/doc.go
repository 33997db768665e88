// Package config reads the settings of the service: built-in defaults, then
// the YAML file, then the environment, with secrets also from files.
//
// It refuses what it does not understand: unknown keys and variables, wrong
// types, values out of range, settings that contradict each other, and
// settings of the contract whose feature this version lacks. All problems of
// one load are reported together, each with a stable id that [Docs] explains.
// A value that may be a secret is never part of a problem.
//
// [Load] does not open what the settings name (database, certificate, log file),
// does not resolve names, and keeps nothing between loads. Everything it reads
// comes through [Source]. [Certificate] reads the certificate.
package config
