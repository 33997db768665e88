package exchange

import (
	"crypto/rand"
	"encoding/base32"
	"sync"
)

const (
	idBytes = 16
	idLen   = 26 // idBytes in base32 without padding
	idBatch = 20 // ids are made in batches: one call for randomness, one allocation
)

// requestIDs are base32 without padding: safe in headers, logs and URLs.
var requestIDs = base32.StdEncoding.WithPadding(base32.NoPadding)

// ids makes request ids. Each is 128 bits of its own of crypto/rand.
type ids struct {
	batches sync.Pool // of *string: what is left of a batch
}

func (p *ids) next() string {
	b, _ := p.batches.Get().(*string)
	if b == nil {
		b = new(string)
	}
	if *b == "" {
		*b = newIDs()
	}
	id := (*b)[:idLen]
	*b = (*b)[idLen:]
	p.batches.Put(b)
	return id
}

func newIDs() string {
	var random [idBatch * idBytes]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	var text [idBatch * idLen]byte
	for i := range idBatch {
		requestIDs.Encode(text[i*idLen:(i+1)*idLen], random[i*idBytes:(i+1)*idBytes])
	}
	return string(text[:])
}
