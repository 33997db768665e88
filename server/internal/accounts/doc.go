// Package accounts keeps the accounts of the service: who may log in, and as what.
//
// It stores what it is given. That a username is lower case and not reserved, that an e-mail address is one, that a
// password is good and how it is hashed is decided before. It refuses a username or an e-mail address that is taken,
// without saying which of them; a change of password that does not know the password it replaces; and writes to an
// account that does not exist.
//
// [Store.Access] is for the hot path, where each request with an API key needs its owner's role: answers are kept for
// a fixed number of accounts, for at most a second where nobody tells what other processes change (Config.Fresh), and
// what this process changes is seen at once.
package accounts
