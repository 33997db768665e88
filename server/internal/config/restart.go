package config

import "strings"

// A Restart is a setting whose change takes a restart, and why.
type Restart struct{ Name, Why string }

// restarts are the settings that a running service cannot change, a section standing
// for everything below it. All others change with a reload.
func restarts() []Restart {
	return []Restart{
		{"environment", "it decides what everything else may be"},
		{"listen", "the address is taken at the start"},
		{"database_url", "everything that is open is in the former database"},
		{"redis_url", "the counts are in the former server"},
		{"redirect_listen", "the address is taken at the start"},
		{"operations_listen", "the address is taken at the start"},
		{"acme", "certificates are obtained by it from the start"},
		{"traces", "spans wait for the collector of the start"},
		{"rate_limits.store_timeout", "it belongs to the connection to Redis"},
		{"audit.log", "the event log is open, and the file of nobody else"},
		{"audit.stdout", "where events go is decided at the start"},
		{"audit.max_size_mib", "the event log is open"},
		{"audit.keep", "the event log is open"},
		{"audit.max_age", "the event log is open"},
		{"audit.keep_for", "the event log is open"},
		{"audit.compress", "the event log is open"},
		{"audit.checkpoint_interval", "the event log is open"},
		{"audit.wait", "the queue is made at the start"},
		{"audit.wait_for", "the queue is made at the start"},
		{"audit.spool_for", "the spool is open"},
		{"audit.file_only", "where events go is decided at the start"},
		{"audit.database_only", "where events go is decided at the start"},
		{"audit.stdout_only", "where events go is decided at the start"},
		{"audit.canaries", "what was seen of them so far would be forgotten"},
	}
}

// NeedsRestart returns why a change of the setting takes a restart, "" for one that
// changes with a reload.
func NeedsRestart(name string) string {
	for _, r := range restarts() {
		if r.Name == name || strings.HasPrefix(name, r.Name+".") {
			return r.Why
		}
	}
	return ""
}

// Restarts returns the settings in which a and b differ and whose change takes a
// restart: those of the table, and tls where one of a and b is clear text.
func Restarts(a, b Settings) []Restart {
	var out []Restart
	for _, name := range Changed(a, b) {
		why := NeedsRestart(name)
		if name == "tls.cert" && (a.TLS.Cert == "") != (b.TLS.Cert == "") {
			why = "the port speaks TLS or clear text from its start"
		}
		if why != "" {
			out = append(out, Restart{name, why})
		}
	}
	return out
}

// KeepGenerated gives s the secret key of former where both were generated: it is
// another at each load, and the one in force goes on.
func (s *Settings) KeepGenerated(former Settings) {
	if s.SecretKeyGenerated && former.SecretKeyGenerated {
		s.SecretKey = former.SecretKey
	}
}
