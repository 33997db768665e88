package findings

// isAccess reports whether it is a control without which a caller gets what is not the caller's.
func isAccess(control string) bool { return control == "authn" || control == "authz" }

func controlsInShadow(s *subject) []hit {
	var out []hit
	for i, c := range s.set.InsecureShadow.Controls {
		if !isAccess(c) {
			out = append(out, s.at(entry("insecure_shadow.controls", i), c+" refuses nothing", "enforce it: remove it from the list once its events show that nobody is hit by mistake")...)
		}
	}
	return out
}

func accessInShadow(s *subject) []hit {
	var out []hit
	for i, c := range s.set.InsecureShadow.Controls {
		if isAccess(c) {
			out = append(out, s.at(entry("insecure_shadow.controls", i), c+" refuses nothing", "remove it from the list, and try it out in development")...)
		}
	}
	return out
}

func corsDebugging(s *subject) []hit {
	if !s.set.CORS.Debug {
		return nil
	}
	return s.at("cors.debug", "is on in production", "remove it when the preflight that it was for passes")
}

func privateNetworkOpen(s *subject) []hit {
	if s.set.CORS.InsecurePrivateNetwork == "" || len(s.set.Origins) == 0 {
		return nil
	}
	return s.at("cors.insecure_private_network", "lets pages of origins into a private network", "remove it, or serve these pages from the same network")
}
