package findings

import (
	"fmt"
	"time"
)

// onlyFactorMin is what NIST SP 800-63B-4 asks of a password that is the only factor.
const onlyFactorMin = 15

func shortPasswords(s *subject) []hit {
	if n := s.set.Password.MinLength; n < onlyFactorMin {
		return s.at("password.min_length", fmt.Sprintf("passwords of %d characters are accepted, and nothing else is asked for", n),
			fmt.Sprintf("write password: {min_length: %d}", onlyFactorMin))
	}
	return nil
}

func isBcrypt(s *subject) bool { return s.set.Password.Algorithm == "bcrypt" }

func bcryptChosen(s *subject) []hit {
	if isBcrypt(s) {
		return s.at("password.algorithm", "new passwords are hashed with bcrypt", "write argon2id; hashes of bcrypt stay good and are replaced at the next login")
	}
	return nil
}

func bcryptCheap(s *subject) []hit {
	if cost := s.set.Password.BcryptCost; isBcrypt(s) && cost < 12 {
		return s.at("password.bcrypt_cost", fmt.Sprintf("the cost is %d", cost), "write 12 or more")
	}
	return nil
}

func longIdle(s *subject) []hit {
	if s.set.Sessions.IdleTimeout > 30*time.Minute {
		return s.at("sessions.idle_timeout", "an idle session lives for "+short(s.set.Sessions.IdleTimeout), "write 30m or less")
	}
	return nil
}

func longSessions(s *subject) []hit {
	if s.set.Sessions.AbsoluteTimeout > 24*time.Hour {
		return s.at("sessions.absolute_timeout", "a session lives for "+short(s.set.Sessions.AbsoluteTimeout), "write 24h or less")
	}
	return nil
}

// short writes whole hours or minutes without the zeros.
func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
