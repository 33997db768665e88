package accounts

// Entries returns how many answers of Access are kept.
func (s *Store) Entries() int {
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	return len(s.cache.entries)
}

// PutOvertaken does what a read does that began before a change and ends after it.
func (s *Store) PutOvertaken(id, role string) {
	round := s.cache.begin()
	s.cache.forget(id)
	s.cache.put(id, entry{role: role, at: s.now()}, round)
}
