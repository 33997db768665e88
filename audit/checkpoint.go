package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// A Checkpointer is a [Sink] that signs what it holds from time to time. A [Pipeline] asks
// for it the first sink that is not optional.
type Checkpointer interface {
	Sink
	// Checkpoint writes a checkpoint when one is due, or with final when there is
	// anything that none covers yet, and returns every checkpoint that was written
	// since the last call, for the other sinks to keep: a copy elsewhere is what
	// shows that the end of the log was cut off. It is called as Write is.
	Checkpoint(ctx context.Context, final bool) ([]Event, error)
}

// Why a checkpoint was written.
const (
	byInterval = "interval"
	byRotation = "rotation"
	byShutdown = "shutdown"
	byTorn     = "torn" // names the torn line of a crash, which stands before it
)

// A Checkpoint is what a node signed about its log: that line Seq has the hash Hash,
// and with it every line before.
type Checkpoint struct {
	ID   string
	Time string // as it is written
	// Node and Key say who signed, see [NodeID] and [KeyID].
	Node, Key string
	// Seq and Hash are of the last line before the checkpoint. 0 and zeros: there is none.
	Seq    uint64
	Hash   string
	Reason string
	// TornBytes and TornHash are the length and SHA-256 of what a crash left between
	// line Seq and the checkpoint; 0 and "" for nothing.
	TornBytes int64
	TornHash  string

	Signature string
}

// message is what is signed: every field on a line of its own. None can hold a newline.
func (c Checkpoint) message() []byte {
	return []byte(strings.Join([]string{"merlon event log checkpoint v1", c.ID, c.Time, c.Node, c.Key,
		strconv.FormatUint(c.Seq, 10), c.Hash, c.Reason, strconv.FormatInt(c.TornBytes, 10), c.TornHash, ""}, "\n"))
}

// SignedBy reports whether key, with the id c.Key, signed c.
func (c Checkpoint) SignedBy(key ed25519.PublicKey) bool {
	signature, err := base64.RawURLEncoding.Strict().DecodeString(c.Signature)
	return err == nil && len(key) == ed25519.PublicKeySize && c.Key == KeyID(key) && ed25519.Verify(key, c.message(), signature)
}

// signed returns the event of c, which has no signature yet.
func (c Checkpoint) signed(key ed25519.PrivateKey, at time.Time) Event {
	c.Time = string(appendTime(nil, at))
	c.Time = c.Time[1 : len(c.Time)-1]
	c.Signature = base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, c.message()))
	detail := []slog.Attr{
		slog.String("node", c.Node), slog.String("key", c.Key),
		slog.Uint64("seq", c.Seq), slog.String("hash", c.Hash), slog.String("reason", c.Reason),
	}
	if c.TornBytes > 0 {
		detail = append(detail, slog.Int64("torn_bytes", c.TornBytes), slog.String("torn_hash", c.TornHash))
	}
	detail = append(detail, slog.String("signature", c.Signature))
	return bounded(logSigned(c.ID, at, detail...))
}

// ParseCheckpoint returns the checkpoint that line holds: a line of a log, or an event of
// the API. ok is false for every other event. The signature is not checked, see
// [Checkpoint.SignedBy].
func ParseCheckpoint(line []byte) (c Checkpoint, ok bool) {
	if !bytes.Contains(line, []byte(SysLogCheckpoint)) {
		return c, false
	}
	var e struct {
		ID     string `json:"id"`
		Time   string `json:"time"`
		Type   Type   `json:"type"`
		Detail struct {
			Node      string `json:"node"`
			Key       string `json:"key"`
			Seq       uint64 `json:"seq"`
			Hash      string `json:"hash"`
			Reason    string `json:"reason"`
			TornBytes int64  `json:"torn_bytes"`
			TornHash  string `json:"torn_hash"`
			Signature string `json:"signature"`
		} `json:"detail"`
	}
	if json.Unmarshal(line, &e) != nil || e.Type != SysLogCheckpoint {
		return c, false
	}
	d := e.Detail
	c = Checkpoint{ID: e.ID, Time: e.Time, Node: d.Node, Key: d.Key, Seq: d.Seq, Hash: d.Hash, Reason: d.Reason,
		TornBytes: d.TornBytes, TornHash: d.TornHash, Signature: d.Signature}
	for _, s := range []string{c.ID, c.Time, c.Node, c.Key, c.Hash, c.Reason, c.TornHash} {
		if strings.ContainsAny(s, "\n") {
			return Checkpoint{}, false // one message, one meaning
		}
	}
	return c, true
}
