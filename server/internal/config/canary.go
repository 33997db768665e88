package config

import "regexp"

// canary is a path without a query, or an account name as logins are compared.
var canary = regexp.MustCompile(`^(/[!-"$->@-~]{0,255}|[a-z0-9][a-z0-9_.@-]{0,253})$`)

func checkCanary(v string) *fault {
	if canary.MatchString(v) {
		return nil
	}
	return &fault{idCanary, "is neither a path nor an account name", `write a path such as "/.env", or a name in lower case such as "backup"`}
}
