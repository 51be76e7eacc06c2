package workload

import (
	"bytes"
	"cmp"
	"maps"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"
)

// AnswerTally counts the answers of a service that a target calls, for a stub of it. It
// is for one goroutine at a time.
type AnswerTally struct {
	answers map[string]map[int]*recordedAnswer // by method and path, and by status
	held    int                                // bytes
	seen    int64
	leftOut map[string]int64 // answers by reason
}

// recordedAnswer is an answer with one status.
type recordedAnswer struct {
	first Answer
	count int64
	took  time.Duration // in sum
}

// AnswerObservation is one answer of a service.
type AnswerObservation struct {
	Method  string
	Target  string // of the request
	Status  int
	Headers map[string][]string // of the answer
	Body    []byte
	Took    time.Duration // from the request to the end of the answer
}

// AnswerNotes are what a person should know of recorded answers.
type AnswerNotes struct {
	Seen     int64   // answers
	Distinct int     // methods and paths
	LeftOut  []Count // by reason
}

// NewAnswerTally returns an empty tally.
func NewAnswerTally() *AnswerTally {
	return &AnswerTally{answers: map[string]map[int]*recordedAnswer{}, leftOut: map[string]int64{}}
}

// describes reports whether a header of an answer says what its body is. Only such
// headers are recorded: the others may be credentials, or belong to the connection.
func describes(name string) bool {
	return slices.Contains([]string{"Cache-Control", "Content-Encoding", "Content-Language", "Content-Type", "Etag", "Last-Modified", "Location", "Vary"}, name)
}

// Add counts an answer. One that a stub can't give is left out, and counted as that.
func (t *AnswerTally) Add(o AnswerObservation) {
	a := Answer{Method: o.Method, Path: answerPath(o.Target), Status: o.Status, Body: o.Body, Headers: map[string]string{}}
	for _, name := range sorted(o.Headers) {
		if canonical := textproto.CanonicalMIMEHeaderKey(name); describes(canonical) {
			a.Headers[canonical] = strings.Join(o.Headers[name], ", ")
		}
	}
	if bodiless(a.Status) {
		a.Body = nil
	}
	if media, _, _ := strings.Cut(a.Headers["Content-Type"], ";"); a.Headers["Content-Encoding"] == "" && isJSON(media) {
		a.Body, _ = redactJSON(a.Body)
	}
	if err := a.check(); err != nil {
		field, _, _ := strings.Cut(err.Error(), ":")
		t.LeaveOut("no usable " + field)
		return
	}
	key := a.Method + " " + a.Path
	if t.answers[key] == nil {
		t.answers[key] = map[int]*recordedAnswer{}
	}
	one := t.answers[key][a.Status]
	if one == nil {
		if t.held += entrySize + len(key) + len(a.Body); t.held > heldMax {
			t.LeaveOut("more distinct answers than a recording holds")
			return
		}
		a.Body = bytes.Clone(a.Body)
		one = &recordedAnswer{first: a}
		t.answers[key][a.Status] = one
	}
	t.seen++
	one.count++
	one.took += o.Took
}

// LeaveOut counts an answer that a stub can't give.
func (t *AnswerTally) LeaveOut(why string) {
	t.seen++
	t.leftOut[why]++
}

// answerPath is the path of a request with its query, in which any value fits where a
// credential stood.
func answerPath(target string) string {
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		target = cmp.Or(u.EscapedPath(), "/")
		if u.RawQuery != "" {
			target += "?" + u.RawQuery
		}
	}
	path, query, ok := strings.Cut(target, "?")
	if !ok {
		return path
	}
	fields := strings.Split(query, "&")
	for i, field := range fields {
		raw, value, _ := strings.Cut(field, "=")
		if name, err := url.QueryUnescape(raw); value != "" && (err != nil || secret(name)) {
			fields[i] = raw + "=*"
		}
	}
	return path + "?" + strings.Join(fields, "&")
}

// Answers are the answers to at most n methods and paths that fit in a file: those that
// were asked for most often. Each is the first one with the status that was most
// frequent, and takes as long as those took on average.
func (t *AnswerTally) Answers(n int) (Answers, AnswerNotes, error) {
	notes := AnswerNotes{Seen: t.seen, Distinct: len(t.answers), LeftOut: counts(t.leftOut)}
	type weighed struct {
		key    string
		answer Answer
		count  int64
	}
	var all []weighed
	for _, key := range sorted(t.answers) {
		one := weighed{key: key}
		best := &recordedAnswer{}
		for _, status := range slices.Sorted(maps.Keys(t.answers[key])) {
			r := t.answers[key][status]
			if one.count += r.count; r.count > best.count {
				best = r
			}
		}
		if best.count == 0 {
			continue // none was held
		}
		one.answer = best.first
		one.answer.Latency = min((best.took / time.Duration(best.count)).Round(10*time.Microsecond), LatencyMax)
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, notes, invalid("there is no answer that a stub can give%s", because(Notes{LeftOut: notes.LeftOut}))
	}
	slices.SortStableFunc(all, func(a, b weighed) int { return cmp.Compare(b.count, a.count) })
	for n = min(max(n, 1), len(all)); ; n = (n + 1) / 2 {
		kept := slices.SortedFunc(slices.Values(all[:n]), func(a, b weighed) int { return strings.Compare(a.key, b.key) })
		out := make(Answers, n)
		for i := range kept {
			out[i] = kept[i].answer
		}
		if len(out.Encode("proxy")) <= AnswersMax {
			return out, notes, nil
		}
		if n == 1 {
			return nil, notes, invalid("the most frequent answer, to %.120s, does not fit in a file of %d KiB", all[0].key, AnswersMax>>10)
		}
	}
}
