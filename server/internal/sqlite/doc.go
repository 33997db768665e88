// Package sqlite opens the database file of the service, and brings its schema up to date.
//
// The file is in WAL mode with one connection that writes and several that read: readers never wait for the writer,
// and writers wait for each other in the process's own queue, under the caller's deadline, and not in SQLite's
// sleeping loop. Other processes (`merlon users create` beside `serve`) may open the same file; between processes the
// busy time-out arbitrates. Only `serve` and `demo` take [Lock] on the data directory, so that there is one of them.
//
// Commits are synced to disk (synchronous=FULL): what was acknowledged survives the death of the process and the
// loss of power, as far as the disk keeps its word about syncing. NORMAL would survive the death of the process too,
// but a power cut could undo the last commits, and a revoked key would work again. It costs one sync per
// transaction; transactions that come often (events, last use of keys) are batches.
//
// The file, its -wal and -shm are readable by their owner only, whatever the umask; a data directory that has to be
// made is too. A file that is not ours is not touched: not a database, another program's (by application_id), one
// whose schema a newer program made, read-only or damaged ones are each an error that says what to do. What it does
// not do: encrypt the file, work on network file systems (WAL needs shared memory), back up.
package sqlite
