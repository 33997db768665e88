package findings

// IsMounted is isMounted, for tests.
var IsMounted = isMounted
