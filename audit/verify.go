package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// VerifyConfig says what a chained log is verified against.
type VerifyConfig struct {
	// Files are the files of one log, compressed or not. They are read in the order of the
	// chain; in the order given when it does not tell.
	Files []string
	// Keys are the public keys of the nodes that wrote it. Without one, signatures
	// are not checked: whoever can write the files can write them anew.
	Keys []ed25519.PublicKey
	// Checkpoints are copies from elsewhere, such as the database of events or the
	// standard output that was collected: the log must hold what they tell of. Without
	// them nobody sees that its end was cut off. With Keys, those of other keys are
	// left out; without, they must be of one node.
	Checkpoints []Checkpoint
}

// A Remark is about one line of a log.
type Remark struct {
	File string
	Line int // from 1
	Why  string
}

func (r Remark) String() string { return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Why) }

// A Verification is what [Verify] found.
type Verification struct {
	// Breaks are the lines at which the log is not what was written, in order: the
	// first one is where it begins. At most 100 are told.
	Breaks []Remark
	// Notes are what is to be known and no break: a torn line of a crash, a log whose
	// beginning was deleted, an end that no checkpoint covers yet.
	Notes []Remark
	// Lines is how many lines of the chain there are, First and Last their numbers.
	Lines       int
	First, Last uint64
	// Signed and Unchecked are how many checkpoints have a signature that was
	// checked, and that was not because there are no keys.
	Signed, Unchecked int
}

const maxBreaks = 100

// Verify reads a log and finds where it was changed. It finds every line that was edited,
// removed, inserted or moved by somebody who does not have the key of the node, up to the last
// checkpoint. After that, and for who has the key, only Checkpoints from elsewhere tell.
//
// A line that a crash tore is a note: at the very end of the log, or where the next
// checkpoint names it. The error is of reading: whether the log is intact is not
// known then.
func Verify(cfg VerifyConfig) (Verification, error) {
	if len(cfg.Files) == 0 {
		return Verification{}, errors.New("audit: no files to verify")
	}
	v := verifier{cfg: cfg, elsewhere: map[uint64][]Checkpoint{}}
	if err := v.takeElsewhere(); err != nil {
		return Verification{}, err
	}
	files, err := inOrder(v.withoutTwins())
	if err != nil {
		return Verification{}, err
	}
	for i, path := range files {
		if err := v.file(path, i == len(files)-1); err != nil {
			return Verification{}, err
		}
	}
	v.end()
	return v.Verification, nil
}

// takeElsewhere sorts out the checkpoints from elsewhere: a database may have those of
// several nodes, and only the keys tell whose this log is.
func (v *verifier) takeElsewhere() error {
	ours := map[string]bool{}
	for _, k := range v.cfg.Keys {
		ours[KeyID(k)] = true
	}
	nodes := map[string]bool{}
	for _, c := range v.cfg.Checkpoints {
		if len(ours) > 0 {
			if !ours[c.Key] {
				continue
			}
			if !signedByOne(c, v.cfg.Keys) {
				return fmt.Errorf("audit: the checkpoint %s from elsewhere is not what the node signed", c.ID)
			}
		}
		nodes[c.Node] = true
		v.elsewhere[c.Seq] = append(v.elsewhere[c.Seq], c)
	}
	switch {
	case len(v.cfg.Checkpoints) > 0 && len(nodes) == 0:
		return errors.New("audit: none of the checkpoints from elsewhere is signed with one of the keys")
	case len(nodes) > 1:
		return errors.New("audit: the checkpoints from elsewhere are of several nodes: give the public keys of one")
	}
	return nil
}

func signedByOne(c Checkpoint, keys []ed25519.PublicKey) bool {
	for _, k := range keys {
		if c.SignedBy(k) {
			return true
		}
	}
	return false
}

// withoutTwins leaves out compressed files beside which the file that they are made of is
// there still: it is removed when the compressed one is on the disk, or after a crash at the
// next rotation.
func (v *verifier) withoutTwins() (files []string) {
	for _, path := range v.cfg.Files {
		plain, packed := strings.CutSuffix(path, gzipped)
		if packed && slices.Contains(v.cfg.Files, plain) {
			v.note(Remark{path, 1, ""}, "not read: it is being made of "+plain+", which is given too")
			continue
		}
		files = append(files, path)
	}
	return files
}

// inOrder returns files in the order of their first lines of the chain, when each
// begins with another.
func inOrder(files []string) ([]string, error) {
	first := map[string]uint64{}
	seen := map[uint64]bool{}
	for _, path := range files {
		seq, err := firstSeq(path)
		if err != nil {
			return nil, err
		}
		if seen[seq] {
			return files, nil
		}
		first[path], seen[seq] = seq, true
	}
	return slices.SortedStableFunc(slices.Values(files), func(a, b string) int { return cmp.Compare(first[a], first[b]) }), nil
}

// firstSeq returns the number of the first line of the chain at the beginning of the
// file. A file without one is the last: it may be the new one.
func firstSeq(path string) (uint64, error) {
	in, err := OpenLog(path)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, maxLine)
	for range maxBreaks {
		line, err := r.ReadSlice('\n')
		if l, _, ok := parseLink(bytes.TrimSuffix(line, []byte{'\n'})); ok {
			return l.seq, nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, fmt.Errorf("audit: %s: %w", path, err)
		}
	}
	return math.MaxUint64, nil
}

type verifier struct {
	Verification
	cfg       VerifyConfig
	elsewhere map[uint64][]Checkpoint // by Seq

	at     Remark // where it is
	last   link
	signed uint64 // the seq of the last checkpoint
	gap    bool   // told that there is none for too long

	torn   []byte // lines that are none of the chain, not explained yet
	tornAt []Remark
}

// maxLine is above what a File writes in a line.
const maxLine = 64 << 10

func (v *verifier) file(path string, last bool) error {
	in, err := OpenLog(path)
	if err != nil {
		return err
	}
	defer in.Close()
	v.at = Remark{File: path}
	r := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 || err == nil {
			v.at.Line++
		}
		switch {
		case err == nil:
			v.line(line[:len(line)-1])
		case errors.Is(err, bufio.ErrBufferFull):
			v.tooLong(r, line)
		case errors.Is(err, io.EOF):
			v.fileEnds(line, last)
			return nil
		default:
			return fmt.Errorf("audit: %s: %w", path, err)
		}
	}
}

// tooLong skips the rest of a line that is longer than any of a log.
func (v *verifier) tooLong(r *bufio.Reader, line []byte) {
	v.unchained(line)
	for {
		if _, err := r.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// fileEnds looks at what stands after the last newline of a file.
func (v *verifier) fileEnds(rest []byte, last bool) {
	switch {
	case len(rest) == 0:
	case !last:
		v.line(rest)
		v.broken(v.at, "the file ends in half a line, and the log goes on in another")
	default:
		v.explain()
		v.note(v.at, "the last line is torn: the program crashed, or is writing it")
		return
	}
	if last {
		v.explain()
	}
}

func (v *verifier) line(line []byte) {
	l, whole, ok := parseLink(line)
	if !ok {
		v.unchained(line)
		return
	}
	checkpoint, signs := ParseCheckpoint(line)
	if len(v.tornAt) > 0 {
		v.tornLines(checkpoint, signs && whole)
	}
	v.Lines++
	if v.First == 0 {
		v.First = l.seq
		if l.seq > 1 {
			v.note(v.at, fmt.Sprintf("the chain begins with line %d here: earlier files are not given, or were deleted", l.seq))
		} else if l.prev != (digest{}) {
			v.broken(v.at, "the first line of the chain names one before it")
		}
		v.signed = l.seq - 1
	} else {
		v.follows(l)
	}
	if !whole {
		v.broken(v.at, "the line was edited: it does not have its hash")
	}
	if signs {
		v.checkpoint(checkpoint, l)
	} else if l.seq > v.signed+maxUnsigned && !v.gap && len(v.cfg.Keys) > 0 {
		v.broken(v.at, fmt.Sprintf("no checkpoint for more than %d lines: checkpoints were removed", maxUnsigned))
		v.gap = true
	}
	if l.seq > v.last.seq {
		v.last, v.Last = l, l.seq
		v.compare(l)
	}
}

// follows checks that l is the successor of the line before.
func (v *verifier) follows(l link) {
	switch want := v.last.seq + 1; {
	case l.seq == 1 && l.prev == (digest{}):
		v.broken(v.at, fmt.Sprintf("the chain begins anew after line %d: what followed was removed, or the log was replaced", v.last.seq))
		v.last, v.signed = link{}, 0
	case l.seq == want && l.prev != v.last.hash:
		v.broken(v.at, "the line does not follow the one before it: that was replaced, or this one")
	case l.seq == want+1:
		v.broken(v.at, fmt.Sprintf("line %d of the chain is missing before this one", want))
	case l.seq > want:
		v.broken(v.at, fmt.Sprintf("lines %d to %d of the chain are missing before this one", want, l.seq-1))
	case l.seq < want:
		v.broken(v.at, fmt.Sprintf("line %d of the chain stands after line %d: it was moved or repeated", l.seq, v.last.seq))
	}
}

func (v *verifier) checkpoint(c Checkpoint, l link) {
	v.signed, v.gap = max(v.signed, l.seq), false
	switch {
	case c.Seq != l.seq-1 || c.Hash != l.prev.String():
		v.broken(v.at, "the checkpoint is of another place: it was moved, or the lines before it were replaced")
	case len(v.cfg.Keys) == 0:
		v.Unchecked++
	case !signedByOne(c, v.cfg.Keys):
		v.broken(v.at, fmt.Sprintf("the checkpoint is not signed by one of the keys (it names key %.16q of %.40q)", c.Key, c.Node))
	default:
		v.Signed++
	}
}

// compare checks a line against what was said of it elsewhere.
func (v *verifier) compare(l link) {
	for _, c := range v.elsewhere[l.seq] {
		if c.Hash != l.hash.String() {
			v.broken(v.at, fmt.Sprintf("line %d is not the one that the checkpoint %s from elsewhere signed", l.seq, c.ID))
		}
	}
}

// unchained keeps a line that is none of the chain, until it is explained.
func (v *verifier) unchained(line []byte) {
	if len(v.torn)+len(line) < tailWindow {
		if len(v.tornAt) > 0 {
			v.torn = append(v.torn, '\n')
		}
		v.torn = append(v.torn, line...)
	}
	if len(v.tornAt) < maxBreaks {
		v.tornAt = append(v.tornAt, v.at)
	}
}

// tornLines decides about lines that are none of the chain by the line after them.
func (v *verifier) tornLines(c Checkpoint, ok bool) {
	sum := digest(sha256.Sum256(v.torn))
	if ok && c.TornBytes == int64(len(v.torn)) && c.TornHash == sum.String() {
		v.note(v.tornAt[0], fmt.Sprintf("torn by a crash; the start after it closed and named it (line %d)", v.at.Line))
		v.torn, v.tornAt = nil, nil
		return
	}
	v.explain()
}

// explain reports lines that are none of the chain and that nothing explains.
func (v *verifier) explain() {
	for i, at := range v.tornAt {
		why := "the line has no chain: it was inserted or edited, or written before there was a chain"
		if i == 0 && len(bytes.TrimSpace(v.torn)) == 0 {
			why = "an empty line was inserted"
		}
		v.broken(at, why)
	}
	v.torn, v.tornAt = nil, nil
}

// end looks at the log as a whole.
func (v *verifier) end() {
	var furthest Checkpoint
	for _, list := range v.elsewhere {
		for _, c := range list {
			if c.Seq > furthest.Seq {
				furthest = c
			}
		}
	}
	switch {
	case furthest.Seq > 0 && furthest.Seq+1 > v.Last: // the checkpoint was a line too
		v.broken(v.at, fmt.Sprintf("the end is cut off: the checkpoint %s from elsewhere is line %d, and the last one here is %d",
			furthest.ID, furthest.Seq+1, v.Last))
	case v.Lines > 0 && v.signed < v.Last:
		v.note(v.at, fmt.Sprintf("lines %d to %d are not covered by a checkpoint yet", v.signed+1, v.Last))
	}
	if v.Lines == 0 && len(v.Breaks) == 0 && len(v.Notes) == 0 {
		v.note(Remark{v.at.File, 1, ""}, "the log holds no line")
	}
}

func (v *verifier) broken(at Remark, why string) {
	if len(v.Breaks) < maxBreaks {
		at.Why = why
		v.Breaks = append(v.Breaks, at)
	}
}

func (v *verifier) note(at Remark, why string) {
	at.Why = why
	v.Notes = append(v.Notes, at)
}
