//go:build !unix

package postgrestest

import "testing"

// A Server is not had here: it needs users, groups of processes and signals.
type Server struct{ Address, Password string }

const missing = "skipped: PostgreSQL is started on Unix only"

func Schema(t testing.TB) string   { t.Skip(missing); return "" }
func Database(t testing.TB) string { t.Skip(missing); return "" }
func Shared(t testing.TB) *Server  { t.Skip(missing); return nil }
func Start(t testing.TB) *Server   { t.Skip(missing); return nil }

func (*Server) Run() error                                 { return nil }
func (*Server) Kill(testing.TB)                            {}
func (*Server) Pause(testing.TB)                           {}
func (*Server) Resume(testing.TB)                          {}
func (*Server) Damage(t testing.TB, url, table string)     {}
func (*Server) Exec(t testing.TB, url, statements string)  {}
func (*Server) Database(testing.TB) string                 { return "" }
func (*Server) URL(user, password, database string) string { return "" }
