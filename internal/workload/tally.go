package workload

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// heldMax bounds the distinct requests that a tally holds, in bytes. It has room
	// for some hundred thousand without bodies.
	heldMax = 128 << 20
	// entrySize is about what an entry takes beside its texts.
	entrySize = 400
)

// Observation is one request that production had. Target is a path or a whole URL, of
// which only the path counts.
type Observation struct {
	Method  string
	Target  string
	Host    string // asked for; that of Target or Headers where it is empty
	Headers map[string][]string
	Body    []byte
	NoBody  bool      // the source does not record bodies
	Status  int       // of the answer; 0 when there was none
	At      time.Time // zero when unknown
}

// TallyOptions say what of a recording is kept.
type TallyOptions struct {
	Source string // in words, such as "access log"
	// Hosts are the names of the target. Requests to other hosts are none of its own.
	// Without any, all requests must be to the same host.
	Hosts []string
	// AnyHost says that all requests were the target's, whatever host they asked for.
	AnyHost bool
	Keep    []string // names of headers that are kept though they don't say what is asked for
	// Anonymise puts a number in the place of each value in a query: 1 for the first
	// value of a parameter that was seen, 2 for the next one.
	Anonymise bool
}

// Tally counts the requests of a recording. It is for one goroutine at a time.
type Tally struct {
	options     TallyOptions
	entries     map[string]*entry // by key
	held        int               // bytes
	seen        int64
	otherHost   int64
	credentials int64 // requests in which a value was redacted
	first, last time.Time
	hosts       map[string]int64
	dropped     map[string]int64 // requests by name of the header
	leftOut     map[string]int64 // requests by reason
	values      map[string]map[string]int
}

// entry is a distinct request, and how often it was answered how.
type entry struct {
	key      string
	request  Request
	count    int64
	statuses map[Expect]int64
	hours    map[int]int64 // by index in a stats.Week; nil without times
}

// Count is how many requests something is about.
type Count struct {
	Name     string `json:"name"`
	Requests int64  `json:"requests"`
}

// Notes are what a person should know of a recording, beside the workload.
type Notes struct {
	Distinct    int     // requests before a sample was taken of them
	LeftOut     []Count // by reason
	Dropped     []Count // by name of the header
	Credentials int64   // requests in which the value of a parameter or field was redacted
	OtherHost   int64   // requests that were to other hosts
}

// NewTally returns an empty tally. An error names a header that can't be kept.
func NewTally(o TallyOptions) (*Tally, error) {
	keep := make([]string, len(o.Keep))
	for i, name := range o.Keep {
		keep[i] = textproto.CanonicalMIMEHeaderKey(name)
		if !headerName(keep[i]) || framing(keep[i]) {
			return nil, invalid("header %.80q can't be kept: it is no header of a request, or belongs to the connection", name)
		}
	}
	hosts := make([]string, len(o.Hosts))
	for i, name := range o.Hosts {
		hosts[i] = hostname(name)
	}
	o.Keep, o.Hosts = keep, hosts
	return &Tally{
		options: o, entries: map[string]*entry{}, hosts: map[string]int64{}, dropped: map[string]int64{}, leftOut: map[string]int64{},
		values: map[string]map[string]int{},
	}, nil
}

// Add counts a request. One that can't be sent again is left out, and counted as that.
func (t *Tally) Add(o Observation) {
	o.Host, o.Target = t.split(o)
	host := hostname(o.Host)
	if len(t.options.Hosts) > 0 && !slices.Contains(t.options.Hosts, host) {
		t.otherHost++
		return
	}
	if !o.At.IsZero() {
		if t.first.IsZero() || o.At.Before(t.first) {
			t.first = o.At
		}
		if o.At.After(t.last) {
			t.last = o.At
		}
	}
	if why := unusable(o); why != "" {
		t.LeaveOut(why)
		return
	}
	r := Request{Kind: HTTP, Method: o.Method, Path: o.Target, Headers: t.headers(o), Body: o.Body, Weight: 1}
	if t.redact(&r) {
		t.credentials++
	}
	if err := r.check(); err != nil {
		field, _, _ := strings.Cut(err.Error(), ":")
		t.LeaveOut("no usable " + field)
		return
	}
	t.count(r, o, host)
}

// LeaveOut counts a request of the target that the workload can't have.
func (t *Tally) LeaveOut(why string) {
	t.seen++
	t.leftOut[why]++
}

// Seen is how many requests were added, those that were left out among them.
func (t *Tally) Seen() int64 { return t.seen }

func (t *Tally) count(r Request, o Observation, host string) {
	key := r.key()
	e := t.entries[key]
	if e == nil {
		size := entrySize + 2*len(r.Path) + len(r.Body)
		if t.held+size > heldMax {
			t.LeaveOut("more distinct requests than a recording holds")
			return
		}
		t.held += size
		e = &entry{key: key, request: r, statuses: map[Expect]int64{}}
		t.entries[key] = e
	}
	t.seen++
	if host != "" {
		t.hosts[host]++
	}
	e.count++
	e.statuses[expected(o.Status)]++
	if !o.At.IsZero() {
		e.hours = addHours(e.hours, map[int]int64{stats.HourOfWeek(o.At): 1})
	}
}

// unusable says why a request can't be sent again, and is empty when it can.
func unusable(o Observation) string {
	switch {
	case o.Status == 101:
		return "a change of protocol"
	case len(o.Body) > BodyMax:
		return "a larger body than a workload takes"
	case o.NoBody && (o.Method == "POST" || o.Method == "PUT" || o.Method == "PATCH"):
		return "a body that the log does not have"
	}
	return ""
}

// split parts the host from the path.
func (t *Tally) split(o Observation) (host, path string) {
	host, path = o.Host, o.Target
	if host == "" {
		for _, name := range sorted(o.Headers) {
			if strings.EqualFold(name, "Host") && len(o.Headers[name]) > 0 {
				host = o.Headers[name][0]
			}
		}
	}
	if u, err := url.Parse(o.Target); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Opaque == "" {
		if host == "" {
			host = u.Host
		}
		path = cmp.Or(u.EscapedPath(), "/")
		if u.RawQuery != "" {
			path += "?" + u.RawQuery
		}
	}
	return host, path
}

// headers are those of a request that are kept.
func (t *Tally) headers(o Observation) map[string]string {
	kept := map[string]string{}
	for _, name := range sorted(o.Headers) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case strings.HasPrefix(name, ":") || framing(canonical) || canonical == "Host":
		case asksFor(canonical) || slices.Contains(t.options.Keep, canonical):
			kept[canonical] = strings.Join(o.Headers[name], ", ")
		default:
			t.dropped[canonical]++
		}
	}
	if o.Host != "" {
		kept["Host"] = o.Host
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// key is equal for equal requests. In order of their keys, requests to similar paths
// stand together.
func (r Request) key() string {
	var b strings.Builder
	b.WriteString(r.Method + "\x00" + r.Path)
	for _, name := range sorted(r.Headers) {
		b.WriteString("\x00" + name + ":" + r.Headers[name])
	}
	if len(r.Body) > 0 {
		sum := sha256.Sum256(r.Body)
		b.Write(sum[:])
	}
	return b.String()
}

// Workload makes a workload of at most n distinct requests that takes at most FileMax
// bytes as a file.
func (t *Tally) Workload(n int) (Workload, Notes, error) {
	notes := Notes{
		Distinct: len(t.entries), LeftOut: counts(t.leftOut), Dropped: counts(t.dropped), Credentials: t.credentials, OtherHost: t.otherHost,
	}
	if len(t.entries) == 0 {
		return Workload{}, notes, invalid("there is no request that can be sent again%s", because(notes))
	}
	if len(t.hosts) > 1 && len(t.options.Hosts) == 0 && !t.options.AnyHost {
		return Workload{}, notes, invalid("there are requests to %d hosts (%s); choose the target's own: oakum workload record -host=NAME", len(t.hosts), names(counts(t.hosts)))
	}
	entries := make([]*entry, 0, len(t.entries))
	for _, key := range sorted(t.entries) {
		entries = append(entries, t.entries[key])
	}
	w := Workload{Source: t.options.Source, Recorded: t.seen, Seconds: t.last.Sub(t.first).Seconds()}
	for _, e := range entries {
		e.request.Expect = e.expect()
		for status, times := range e.statuses {
			if status != 0 && status != e.request.Expect {
				w.Unexpected += times
			}
		}
	}
	for n = min(max(n, 1), RequestsMax); ; n = (n + 1) / 2 {
		w.Requests = choose(entries, n)
		inHours(w.Requests)
		if n == 1 || len(w.Encode()) <= FileMax {
			return w, notes, nil
		}
	}
}

// expect is the status that the request was answered with most often, and of those the
// lowest.
func (e *entry) expect() Expect {
	best, most := Expect(0), int64(0)
	for status, times := range e.statuses {
		if times > most || times == most && status < best {
			best, most = status, times
		}
	}
	return best
}

// hostname is a host without its port, in lower case.
func hostname(host string) string {
	u := url.URL{Host: host}
	return strings.ToLower(u.Hostname())
}

// counts are the counters of a map, the largest first.
func counts(m map[string]int64) []Count {
	out := make([]Count, 0, len(m))
	for _, name := range sorted(m) {
		out = append(out, Count{name, m[name]})
	}
	slices.SortStableFunc(out, func(a, b Count) int { return cmp.Compare(b.Requests, a.Requests) })
	return out
}

// names lists the first few names of counters.
func names(list []Count) string {
	const most = 4
	var out []string
	for _, c := range list[:min(most, len(list))] {
		out = append(out, fmt.Sprintf("%.80s %d", c.Name, c.Requests))
	}
	if len(list) > most {
		out = append(out, "...")
	}
	return strings.Join(out, ", ")
}

// because says why requests were left out.
func because(n Notes) string {
	switch {
	case len(n.LeftOut) > 0:
		return " (" + names(n.LeftOut) + ")"
	case n.OtherHost > 0:
		return fmt.Sprintf(" (%d are to other hosts)", n.OtherHost)
	}
	return ""
}
