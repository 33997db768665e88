package validate

// An Optional is a member that may be absent or null, as PATCH needs it: a
// member that was not sent keeps what is stored, a null clears it.
//
// It is made for reading requests. In answers use a pointer, or omitzero.
type Optional[T any] struct {
	// Set reports whether the member was sent, be it as null.
	Set bool
	// Null reports whether it was sent as null.
	Null bool
	// Value is the value if it was sent and is not null.
	Value T
}

// Or returns the value, or fallback when there is none.
func (o Optional[T]) Or(fallback T) T {
	if o.Set && !o.Null {
		return o.Value
	}
	return fallback
}

// Apply changes *dst as a PATCH does: to the value, to the zero value for a
// null, not at all when the member was not sent.
func (o Optional[T]) Apply(dst *T) {
	if o.Set {
		*dst = o.Value
	}
}

func (Optional[T]) optional() {}

// optional is how Compile recognises an Optional: fields 0 to 2 are as above.
type optional interface{ optional() }
