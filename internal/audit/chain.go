package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Chain is the end of a log: its last entry. The zero chain has none.
type Chain struct {
	Sequence uint64
	Head     string // the hash of the last entry; "" when there is none
}

// nothing is what the first entry has for the hash of the one before.
var nothing = strings.Repeat("0", 2*sha256.Size) //nolint:gochecknoglobals // it never changes

// A line ends with the hash of all that stands before it.
const (
	hashOpens  = `,"hash":"`
	hashCloses = `"}`
	hashLength = len(hashOpens) + 2*sha256.Size + len(hashCloses)
)

// lineMax bounds a line, in bytes. What callers choose is cut long before (Short).
const lineMax = 256 << 10

// Seal makes e the next entry of the chain. It returns its line, with the line break,
// and the chain with it.
func (c Chain) Seal(e Entry) ([]byte, Chain, error) {
	e.Sequence, e.Previous = c.Sequence+1, c.previous()
	body, err := json.Marshal(e)
	if err != nil {
		return nil, c, fmt.Errorf("encode audit entry: %w", err)
	}
	head := hashOf(body)
	line := append(body[:len(body)-1], hashOpens+head+hashCloses+"\n"...)
	if len(line) > lineMax {
		return nil, c, fmt.Errorf("encode audit entry: %d bytes, at most %d", len(line), lineMax)
	}
	return line, Chain{Sequence: e.Sequence, Head: head}, nil
}

func (c Chain) previous() string {
	if c.Head == "" {
		return nothing
	}
	return c.Head
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// errAltered is a line that isn't what was written.
var errAltered = errors.New("altered: its hash is not that of what it says")

// Open reads one line, without its line break. It knows whether the line is as it was
// written, and nothing of the lines around.
func Open(line []byte) (Entry, Chain, error) {
	var e Entry
	at := len(line) - hashLength
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(hashOpens)) || !bytes.HasSuffix(line, []byte(hashCloses)) {
		return e, Chain{}, errors.New("no entry of an audit log: it does not end with a hash")
	}
	head := string(line[at+len(hashOpens) : len(line)-len(hashCloses)])
	body := append(bytes.Clone(line[:at]), '}')
	if hashOf(body) != head {
		return e, Chain{}, errAltered
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, Chain{}, fmt.Errorf("no entry of an audit log: %w", err)
	}
	return e, Chain{Sequence: e.Sequence, Head: head}, nil
}

// Follow says why an entry is not the next one of the chain, nil when it is.
func (c Chain) Follow(e Entry) error {
	switch want := c.Sequence + 1; {
	case e.Sequence > want:
		return fmt.Errorf("out of sequence: it is entry %d, and %d was expected: %d removed or moved", e.Sequence, want, e.Sequence-want)
	case e.Sequence < want:
		return fmt.Errorf("out of sequence: it is entry %d, and %d was expected: it was moved or repeated", e.Sequence, want)
	case e.Previous != c.previous():
		return fmt.Errorf("not the successor of entry %d: that one was replaced, or this one belongs to another log", c.Sequence)
	}
	return nil
}
