package module

// Cookie returns the value of a cookie of the call, or "" when there is none, or
// more than one: which one counts would be a guess.
func (c *Call) Cookie(name string) string {
	found := c.r.CookiesNamed(name)
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}
