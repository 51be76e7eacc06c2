// Package wire turns the public nouns of a strategy consultation into the
// messages of the plugin protocol and back. The SDK and the host share it, so
// that both ends agree by construction. It checks nothing: a host checks what a
// plugin proposes.
package wire

import (
	"encoding/json"
	"time"
)

// nanos is the wire form of a time; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// moment reads what nanos wrote.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// each converts a list, keeping nil apart from nothing: an absent list stays nil.
func each[A, B any](list []A, convert func(A) B) []B {
	if list == nil {
		return nil
	}
	out := make([]B, 0, len(list))
	for _, item := range list {
		out = append(out, convert(item))
	}
	return out
}

// raw is a JSON value off the wire, nil when it is empty.
func raw(b []byte) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	return json.RawMessage(b)
}
