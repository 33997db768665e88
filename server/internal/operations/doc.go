// Package operations is what the operator's own listener serves: metrics for
// Prometheus and, where only this machine can reach it, pprof. Nothing of it is
// served to the public.
package operations
