package accounts

import (
	"errors"
	"time"
)

// The errors of this package. Every other error means that the database did not answer, and wraps
// sqlstore.ErrUnavailable.
var (
	// ErrExists: the username or the e-mail address is taken.
	ErrExists = errors.New("accounts: the username or the e-mail address is taken")
	// ErrNotFound: there is no such account.
	ErrNotFound = errors.New("accounts: no such account")
	// ErrConflict: the password was changed in between.
	ErrConflict = errors.New("accounts: the password was changed in between")
)

// A User is an account.
type User struct {
	ID       string // `usr_` and a UUID of version 7
	Username string // lower case, unique
	Email    string // as given; unique without regard to case

	FullName string
	Bio      string
	Website  string

	Role     string // user or admin
	Disabled bool   // may not log in, and its keys open nothing

	// PasswordHash is a PHC string. It goes into no answer and no event.
	PasswordHash string

	CreatedAt         time.Time // UTC, to the microsecond
	UpdatedAt         time.Time
	PasswordChangedAt time.Time
}

// A Profile is what the owner of an account may change, but for the password.
type Profile struct {
	Email    string
	FullName string
	Bio      string
	Website  string
}
