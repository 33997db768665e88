package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/merlonhq/merlon/server/internal/schema"
)

// What can be wrong with a database. The error that wraps one of these names the database and what to do.
var (
	// ErrUnreachable: nobody answers.
	ErrUnreachable = errors.New("cannot be reached")
	// ErrDenied: the user or its password is wrong, or it may not do what it must.
	ErrDenied = errors.New("access denied")
	// ErrMissing: there is no such database.
	ErrMissing = errors.New("does not exist")
	// ErrForeign: the database belongs to another program.
	ErrForeign = errors.New("the database of another program")
	// ErrNewer: a newer version of the program changed the schema.
	ErrNewer = schema.ErrNewer
	// ErrReadOnly: the database cannot be written.
	ErrReadOnly = errors.New("read-only")
	// ErrStandby: it is a standby, which may be behind. It is ErrReadOnly as well.
	ErrStandby = errors.New("a standby")
	// ErrFull: the disk of the server is full.
	ErrFull = errors.New("the server's disk is full")
	// ErrCorrupt: the server found damage.
	ErrCorrupt = errors.New("damaged")
	// ErrTLS: the connection cannot be encrypted as it must be.
	ErrTLS = errors.New("TLS failed")

	errUnfit = errors.New("cannot be used")
)

// A failure is an error of the database in one line, with its cause. The text of the cause is in it once.
type failure struct {
	text   string
	causes []error
}

func (f failure) Error() string   { return f.text }
func (f failure) Unwrap() []error { return f.causes }

// explain names the database, the class that err belongs to and what to do about it.
func (db *DB) explain(err error) error {
	if err == nil {
		return nil
	}
	var known failure
	if errors.As(err, &known) {
		return err
	}
	text := strings.NewReplacer("\n\t", " ", "\n", "; ", "\t", " ").Replace(err.Error())
	fix, class := db.class(err)
	if class == nil {
		return failure{"database " + db.name + ": " + text, []error{err}}
	}
	return failure{"database " + db.name + ": " + class.Error() + ": " + fix + ": " + text, []error{class, err}}
}

// class returns what to do about err and its class; nil for one that says it itself.
func (db *DB) class(err error) (fix string, class error) {
	state := sqlState(err)
	switch {
	case state == "28P01" || state == "28000":
		return "check the user and the password of database_url, and pg_hba.conf of the server", ErrDenied
	case state == "42501":
		return "give user " + db.user + " the right", ErrDenied
	case state == "3D000":
		return "make it (CREATE DATABASE ... OWNER " + db.user + "), or name another one", ErrMissing
	case state == "25006":
		return "name the primary", ErrReadOnly
	case state == "53100":
		return "make room", ErrFull
	case state == "53300":
		return "the server has no connection left: raise its max_connections or lower pool_max_conns", ErrUnreachable
	case state == "XX001" || state == "XX002":
		return "restore it from a backup", ErrCorrupt
	case state == "57P03" || state == "57P01" || state == "57P02":
		return "the server is starting or stopping", ErrUnreachable
	case state == "55P03":
		return "others hold a lock on what must be changed: try again", errBusy
	case isTLS(err):
		return "check sslmode and sslrootcert of database_url, and the server's certificate", ErrTLS
	case state == "" && !errors.Is(err, context.Canceled) && unreachable(err):
		return "check that the server runs and listens there", ErrUnreachable
	}
	return "", nil
}

var errBusy = errors.New("in use")

func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &verify) || errors.As(err, &header) || errors.As(err, &unknown) ||
		strings.Contains(err.Error(), "server refused TLS connection")
}

func unreachable(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded)
}

// Lost reports whether err says that the server was not reached or was lost on the way. What it answered, a lock that
// was not to be had or a full disk, is not that, and neither is a caller who left.
func Lost(err error) bool {
	switch state := sqlState(err); state {
	case "57P01", "57P02", "57P03", "53300":
		return true
	case "":
		var netErr net.Error
		return err != nil && !errors.Is(err, context.Canceled) && (unreachable(err) || pgconn.SafeToRetry(err) || errors.As(err, &netErr) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn))
	default:
		return strings.HasPrefix(state, "08") // connection exception
	}
}

// RefusesWrites reports whether err is the answer to a write where nothing can be written.
func RefusesWrites(err error) bool { return sqlState(err) == "25006" }

// Reads reports whether err, of [DB.Check], says that the database answered and can be read as ever: it takes no
// writes, but is no standby.
func Reads(err error) bool {
	return sqlState(err) == "" && (errors.Is(err, ErrReadOnly) || errors.Is(err, ErrDenied)) && !errors.Is(err, ErrStandby)
}

// mayPass reports whether waiting may mend err.
func mayPass(err error) bool {
	switch sqlState(err) {
	case "57P03", "57P01", "57P02", "53300":
		return true
	case "":
		return unreachable(err) && !isTLS(err)
	}
	return false
}
