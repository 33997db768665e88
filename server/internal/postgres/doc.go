// Package postgres opens the PostgreSQL database of the service, and brings its schema up to date.
//
// Any number of processes work on one database. A [DB] is a pool of so many connections and no more; each has a limit
// on how long a statement runs, waits for a lock, and leaves a transaction open, so that a process that hangs holds
// nobody up. Transactions are READ COMMITTED; package sqlstore orders what must be in order.
//
// Start-up waits for a database that cannot be reached, with growing pauses and a line in the log for each, and gives
// up after a stated time. What waiting does not mend is an error at once: wrong credentials, a database that does not
// exist, is read-only, is another program's, or has the schema of a newer version. No error holds a password.
//
// Migrations run under an advisory lock of the database, on a connection of their own. What connects in between must
// keep sessions: a pooler in transaction mode does not keep the lock, nor the limits.
package postgres
