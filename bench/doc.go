// Package bench holds Merlon beside its peers: the same request through each
// middleware chain, the same decision by each limiter. Its benchmarks run one
// contestant at a time; the command compare interleaves them and prints the
// ratios that docs/benchmarks.md keeps.
package bench
