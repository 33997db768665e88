package findings

import "time"

func symmetricTokens(s *subject) []hit {
	if s.set.Tokens.Algorithm != "HS256" {
		return nil
	}
	return s.at("tokens.algorithm", "HS256 has one key for both", "write EdDSA, or ES256 or RS256 for who cannot verify that")
}

func longAccessTokens(s *subject) []hit {
	if s.set.Tokens.AccessTTL <= 30*time.Minute {
		return nil
	}
	return s.at("tokens.access_ttl", short(s.set.Tokens.AccessTTL)+" is longer than a refresh is worth", "write 30m or less; the default is 15m")
}

func longRefresh(s *subject) []hit {
	if s.set.Tokens.RefreshTTL <= 30*24*time.Hour {
		return nil
	}
	return s.at("tokens.refresh_ttl", "logins go on for "+short(s.set.Tokens.RefreshTTL), "write 720h or less")
}
