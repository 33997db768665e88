// Package revocation tells every process that shares a database what was revoked in it, within a stated time.
//
// Every change that can take a right away (a key revoked, a session ended, a role changed) advances a sequence in the
// transaction that makes it, and leaves a line in a bounded [Log]. A [Watch] reads the log some times a second and drops
// what was cached of just these; when the log does not reach back to what was read last, all of it. [Watch.Fresh] says
// whether the last successful look began less than the bound ago: a cached verdict is used only while it did. So what is
// revoked anywhere is refused everywhere within the bound, whatever fails: a process that cannot look asks the database
// itself, and where that fails too the answer is not known, which is an outage and not a refusal.
//
// [Watch.Poke] makes it look at once, for a broadcast that makes all this faster and that nothing depends on.
//
// It does not decide what a right is and does not write the sequence: see the migrations of package sqlstore, whose
// triggers do. A cache must not keep what was read before it was told to forget it, although it comes later.
package revocation
