package findings

import (
	"fmt"
	"slices"
	"strings"
)

// secretSettings are the settings that may be in files of their own.
func secretSettings() []string {
	return []string{"secret_key", "secret_key_previous", "database_url", "redis_url"}
}

// writtenSecrets returns the secrets that are in the settings file.
func (s *subject) writtenSecrets() []string {
	return slices.DeleteFunc(s.heldSecrets(), func(name string) bool { return !s.Places.InFile(name) })
}

// heldSecrets returns the settings that hold a secret, of URLs those with a password.
func (s *subject) heldSecrets() []string {
	secret := []string{"secret_key", "secret_key_previous"}
	for _, one := range s.stores() {
		if one.password.IsSet() {
			secret = append(secret, one.setting)
		}
	}
	return secret
}

func secretInFile(s *subject) []hit {
	var out []hit
	for _, name := range s.writtenSecrets() {
		out = append(out, s.at(name, "its value is in the settings file", "move it to a file of mode 0600 that MERLON_"+strings.ToUpper(name)+"_FILE names")...)
	}
	return out
}

func secretInVariable(s *subject) []hit {
	var out []hit
	for _, name := range s.heldSecrets() {
		if variable := "MERLON_" + strings.ToUpper(name); s.Places.Where(name) == variable {
			out = append(out, hit{variable, name + ": its value is in a variable", "write it to a file of mode 0600 that " + variable + "_FILE names, or mount it as /run/secrets/" + name})
		}
	}
	return out
}

func rotationUnfinished(s *subject) []hit {
	if n := len(s.set.SecretKeyPrevious); n > 0 {
		return s.at("secret_key_previous", fmt.Sprintf("%d former keys are accepted", n), "remove them 12 hours after the new key was set")
	}
	return nil
}
