// Package chaos holds the proof of what happens when parts of an installation die: three nodes on one PostgreSQL and
// one Redis, under a mixed load, while each of them is killed, stopped, slowed and cut off.
//
// TestChaos counts what may not happen and prints a table; `make chaos` is its long form. TestScaling counts what each
// kind of request costs each store and measures one node; `make scaling` prints it. docs/scaling.md says what follows.
//
// The nodes run the service with the module of examples/blog (package node), so that there are posts to write. Faults
// of the network are those of toxiproxy, which stands between every node and each of its stores.
//
// It is a module of its own, so that toxiproxy is no dependency of Merlon. PostgreSQL and redis-server must be
// installed (Debian: apt-get install postgresql redis-server); without them the tests skip, and fail where CI is
// "true".
package chaos
