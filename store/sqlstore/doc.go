// Package sqlstore keeps API keys, sessions and tokens in a SQL database, through database/sql and without a driver: the
// program that uses it opens the database with the driver of its choice, and hands in the handles.
//
// [New] makes a [DB], which is also the way in which a program may run statements of its own: each call has a
// deadline, statements are prepared once, values are parameters and never text, and what goes wrong in the database is
// one class of error, [ErrUnavailable], on which a server answers 503. [DB.Keys], [DB.Sessions], [DB.Grants] and
// [DB.TokenKeys] are the stores ([apikey.Store], [session.Store], [token.Store], [token.KeyStore]). [DB.Revocations] is the [revocation.Log] of what they end, by which processes that share a database
// learn of it. [Migrations] is the SQL of their tables.
//
// Secrets never come here: keys, sessions and refresh tokens arrive as hashes, keys that sign encrypted. The package does not open databases, does not migrate
// them by itself, does not retry, and does not delete what has expired unless told (Sweep).
package sqlstore
