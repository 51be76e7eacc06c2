package api

import (
	"fmt"
	"strings"
	"time"
)

// SourceStatus says how far one source of facts can be trusted now.
type SourceStatus struct {
	Name     string    `json:"name"`
	OK       bool      `json:"ok"`                 // it is not away
	Since    time.Time `json:"since,omitzero"`     // of that; of a source that is away, when it failed first
	FirstOK  time.Time `json:"first_ok,omitzero"`  // first good answer
	LastOK   time.Time `json:"last_ok,omitzero"`   // last good answer
	Failures int       `json:"failures,omitempty"` // tries in a row that it failed, up to the last one
	Failing  time.Time `json:"failing,omitzero"`   // when it failed the first of them
	Failed   time.Time `json:"failed,omitzero"`    // when it failed the last of them
	Error    string    `json:"error,omitempty"`
	Partial  string    `json:"partial,omitempty"` // what is known to be missing
	// Unread says that the leader has recorded no answer of it in its term. It is never
	// in the record itself.
	Unread bool `json:"unread,omitempty"`
}

// SourceState sums a source's status up.
type SourceState string

// States of a source. Only a whole one vouches for the graph; a failing one does not,
// and is no reason for a doubt either.
const (
	SourceWhole   SourceState = "whole"   // it answered the last try, with everything
	SourceFailing SourceState = "failing" // it failed the last tries, too briefly to be away
	SourcePartial SourceState = "partial" // part of its answer is known to be missing
	SourceUnread  SourceState = "unread"  // the leader has had no answer of it in its term
	SourceAway    SourceState = "away"    // it has failed for a while, or never answered
)

// Doubtful reports whether the graph lacks facts of a source in this state.
func (s SourceState) Doubtful() bool {
	return s == SourcePartial || s == SourceUnread || s == SourceAway
}

// State sums the status up.
func (s SourceStatus) State() SourceState {
	switch {
	case !s.OK && (s.Error != "" || !s.Unread):
		return SourceAway
	case s.Unread:
		return SourceUnread
	case s.Partial != "":
		return SourcePartial
	case s.Failures > 0:
		return SourceFailing
	}
	return SourceWhole
}

// String describes the state in words: since when, how often the source failed, and
// why.
func (s SourceStatus) String() string {
	var out strings.Builder
	out.WriteString(s.Name)
	switch state := s.State(); state {
	case SourceWhole:
		return s.Name + " answers"
	case SourceUnread:
		return s.Name + " has not answered this leader yet"
	case SourcePartial:
		return s.Name + " is partial: " + s.Partial
	case SourceFailing:
		out.WriteString(" is failing")
	case SourceAway:
		out.WriteString(" is away")
	}
	out.WriteString(span(s.began(), s.Failures))
	if s.Error != "" {
		out.WriteString(": " + s.Error)
	}
	return out.String()
}

// began is when it began to fail.
func (s SourceStatus) began() time.Time {
	if s.Failing.IsZero() {
		return s.Since
	}
	return s.Failing
}

// span says since when and how often a source failed, as far as both are known.
func span(since time.Time, failures int) string {
	out := ""
	if !since.IsZero() {
		out = " since " + since.UTC().Format(time.RFC3339)
	}
	switch {
	case failures == 1:
		out += ", 1 try failed"
	case failures > 1:
		out += fmt.Sprintf(", %d tries failed", failures)
	}
	return out
}

// Doubt is why Oakum itself, and no policy, asks for an approval: while part of the
// graph is missing nobody knows who else depends on a critical target. It stands until
// a person consents, or until the graph is whole and the policies, asked anew, have
// decided with it.
type Doubt struct {
	Sources []DoubtedSource `json:"sources"`         // sorted by name
	Lapse   *Lapse          `json:"lapse,omitempty"` // nil while it stands
}

// DoubtedSource is a source that was not whole when a decision was made.
type DoubtedSource struct {
	Name     string      `json:"name"`
	State    SourceState `json:"state"`
	Since    time.Time   `json:"since,omitzero"` // away: when it failed first
	Failures int         `json:"failures,omitempty"`
}

// Lapse is how a doubt ended.
type Lapse struct {
	At          time.Time   `json:"at"`
	Reason      string      `json:"reason"`      // what the policies decided with a whole graph
	Criticality Criticality `json:"criticality"` // what the whole graph said of the target
}

// InDoubt reports whether the decision asks for an approval that may lapse.
func (d *Decision) InDoubt() bool { return d.Doubt != nil && d.Doubt.Lapse == nil }

// String names the sources, and what was the matter with each at that time.
func (d *Doubt) String() string {
	words := make([]string, len(d.Sources))
	for i, s := range d.Sources {
		words[i] = s.Name + " was " + string(s.State)
		if s.State == SourceAway {
			words[i] += span(s.Since, s.Failures)
		}
	}
	return strings.Join(words, "; ")
}

// DoubtedSources are the sources that the graph lacks something of, in their order.
func DoubtedSources(all []SourceStatus) []DoubtedSource {
	var out []DoubtedSource
	for i := range all {
		s := &all[i]
		state := s.State()
		if !state.Doubtful() {
			continue
		}
		d := DoubtedSource{Name: s.Name, State: state}
		if state == SourceAway {
			d.Since, d.Failures = s.began(), s.Failures
		}
		out = append(out, d)
	}
	return out
}
