// Package eventdb keeps security events in the database, where GET /api/v1/events looks them up.
//
// A [Store] is an audit.Sink, beside the file. What it keeps of an event, and returns, is byte for byte the part of the
// event's line in the file that the API shows: the members id to detail. It refuses no event for what is in it, keeps
// an event that comes twice once, and forgets events only when told ([Store.Sweep]). It is not proof against whoever
// can write the database; the hash chain of the file is.
package eventdb
