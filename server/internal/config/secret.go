package config

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is text that shows itself as "[redacted]" wherever it is printed,
// formatted with any verb, marshalled or logged. The zero Secret is unset.
type Secret struct {
	// A pointer, because fmt prints the fields of a Secret in an unexported
	// field without calling its methods: it then prints an address.
	text *string
}

// NewSecret returns the Secret that holds text; empty text is the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text itself, "" when unset. Its callers are the only places
// where a secret leaves its wrapping.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether s holds a text.
func (s Secret) IsSet() bool { return s.text != nil }

// Equal reports in constant time whether s and o hold the same text.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String implements [fmt.Stringer].
func (Secret) String() string { return redacted }

// Format implements [fmt.Formatter] for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements [encoding/json.Marshaler].
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML implements the marshaler of the YAML package.
func (Secret) MarshalYAML() (any, error) { return redacted, nil }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
