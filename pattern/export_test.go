package pattern

// Sizes returns how many keys each table has.
func (w *Watch) Sizes() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sizes := map[string]int{}
	for name, t := range map[string]*table{"stuffing": w.stuffing, "logged in": w.loggedIn, "spraying": w.spraying,
		"tried": w.tried, "accounts": w.accounts, "scanning": w.scanning, "touched": w.touched} {
		sizes[name] = len(t.entries)
		if t.recent.Len() > sizes[name] {
			sizes[name] = t.recent.Len()
		}
	}
	return sizes
}
