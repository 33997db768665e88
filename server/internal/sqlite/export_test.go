package sqlite

// LockSetup is lockSetup, for tests.
var LockSetup = lockSetup
