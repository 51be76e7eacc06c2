// Package workload holds the requests that the twins of a simulation are sent: what
// they are, how often each of them is sent beside the others, how many there are a
// second, and which part of them a run has covered.
//
// A workload is recorded from production, out of an access log, a HAR file or a proxy
// (Tally), and kept as a file of one request a line (Parse, Encode). Without one, the
// paths of the target's metadata are the workload (Replay).
//
// Guarantees. A request has a path and no address, so it can be sent to a twin only.
// What is recorded has no credentials, unless somebody asked for a header by its name.
// A file that is not understood is refused with its line, or with the path in its JSON.
// The same recording gives the same file, byte for byte.
package workload

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Limits of a workload. The file is part of a policy, which the API takes up to
// FileMax bytes of, and is in the memory of every server.
const (
	FileMax     = 4 << 20 // bytes of a file
	RequestsMax = 10_000  // distinct requests
	BodyMax     = 1 << 20 // bytes of a body, and of what a TCP request sends
	PathMax     = 8 << 10 // bytes of a path with its query
	HeadersMax  = 16 << 10
	WeightMax   = 1_000_000_000_000 // keeps the sum of all weights within an int64
)

// Kind is the protocol of a request.
type Kind string

// Kinds of requests.
const (
	HTTP Kind = "http"
	TCP  Kind = "tcp"
)

// Workload is what both twins are sent. Its zero value has no requests.
type Workload struct {
	Requests []Request

	Source     string  // what it was recorded from; empty when a person wrote it
	Recorded   int64   // requests that the recording saw, those that it left out among them; 0 when unknown
	Seconds    float64 // from the first of them to the last; 0 when unknown
	Unexpected int64   // of the recorded ones, those that were answered with another status than the same request usually is
}

// Request is one request of a workload. All requests of a workload are of one kind.
type Request struct {
	Kind   Kind
	Weight int64 // how often it is sent beside the others, 1 to WeightMax
	// Hours is how often it was recorded in which hour of the week, by the index in a
	// stats.Week. It is nil where the recording has no times.
	Hours map[int]int64

	Method  string            // HTTP
	Path    string            // HTTP: with the query, begins with "/"
	Headers map[string]string // HTTP: by canonical name; Host is the name that is asked for, and no address
	Body    []byte            // HTTP
	Expect  Expect            // HTTP

	Send   []byte // TCP: sent once the connection is there
	Answer []byte // TCP: the answer begins with it
}

// String names the request for a person, without its headers and body.
func (r Request) String() string {
	if r.Kind == TCP {
		return fmt.Sprintf("tcp %.40q", r.Send)
	}
	return r.Method + " " + r.Path
}

// Mutating reports whether a request may change what the target stores. Methods that
// RFC 9110 or the registry of methods calls safe do not. Of what is sent over TCP nobody
// knows.
func (r Request) Mutating() bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH":
		return false
	}
	return r.Kind == HTTP || len(r.Send) > 0
}

// Empty reports whether there is nothing to send.
func (w Workload) Empty() bool { return len(w.Requests) == 0 }

// Weight is the sum of all weights.
func (w Workload) Weight() int64 {
	var sum int64
	for _, r := range w.Requests {
		sum += r.Weight
	}
	return sum
}

// Share is the part of the workload that request i makes up, from 0 to 1.
func (w Workload) Share(i int) float64 { return float64(w.Requests[i].Weight) / float64(w.Weight()) }

// Kept is the part of the recorded requests that the workload stands for, from 0 to 1.
func (w Workload) Kept() float64 {
	weight := w.Weight()
	if weight >= w.Recorded {
		return 1
	}
	return float64(weight) / float64(w.Recorded)
}

// Rate is how many requests a second the recording saw; 0 when unknown.
func (w Workload) Rate() float64 {
	if w.Seconds <= 0 {
		return 0
	}
	return float64(w.Recorded) / w.Seconds
}

// Replay is the workload of a target that nobody recorded: its paths with equal
// weights, or else its health check. It is empty when there are none.
func Replay(paths, check string) Workload {
	var w Workload
	for p := range strings.SplitSeq(paths, ",") {
		r := Request{Kind: HTTP, Method: "GET", Path: strings.TrimSpace(p), Weight: 1}
		if r.check() == nil {
			w.Requests = append(w.Requests, r)
		}
	}
	if w.Empty() && check != "" {
		w.Requests = []Request{{Kind: HTTP, Method: "GET", Path: check, Weight: 1}}
	}
	return w
}

// check says what is wrong with a request, beginning with the name of the field.
func (r Request) check() error {
	if r.Weight < 1 || r.Weight > WeightMax {
		return fmt.Errorf("weight: %d is not from 1 to %d", r.Weight, int64(WeightMax))
	}
	if err := checkHours(r.Hours); err != nil {
		return fmt.Errorf("hours: %w", err)
	}
	switch r.Kind {
	case HTTP:
		return r.checkHTTP()
	case TCP:
		return r.checkTCP()
	}
	return fmt.Errorf("kind: %q is neither %q nor %q", r.Kind, HTTP, TCP)
}

func (r Request) checkHTTP() error {
	if len(r.Send) > 0 || len(r.Answer) > 0 {
		return fmt.Errorf("send, answer: a request of kind %q has method and path", HTTP)
	}
	if err := checkMethod(r.Method); err != nil {
		return fmt.Errorf("method: %w", err)
	}
	if err := checkPath(r.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if err := checkHeaders(r.Headers); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	if len(r.Body) > BodyMax {
		return fmt.Errorf("body: %d bytes are more than %d", len(r.Body), BodyMax)
	}
	return nil
}

func (r Request) checkTCP() error {
	switch {
	case r.Method != "" || r.Path != "" || len(r.Headers) > 0 || len(r.Body) > 0 || r.Expect != 0:
		return fmt.Errorf("method, path, headers, body, status: a request of kind %q has send and answer", TCP)
	case len(r.Answer) == 0:
		return fmt.Errorf("answer: a connection that opens proves nothing; say how the answer begins")
	case len(r.Send) > BodyMax:
		return fmt.Errorf("send: %d bytes are more than %d", len(r.Send), BodyMax)
	case len(r.Answer) > BodyMax:
		return fmt.Errorf("answer: %d bytes are more than %d", len(r.Answer), BodyMax)
	}
	return nil
}

// checkMethod takes methods of upper-case letters. All that are registered for requests
// to an origin server have them and hyphens.
func checkMethod(method string) error {
	if method == "CONNECT" || method == "TRACE" {
		return fmt.Errorf("%s is not for a service", method)
	}
	letters := strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-")
	if method == "" || len(method) > 32 || letters != "" {
		return fmt.Errorf("%.40q is no method such as GET", method)
	}
	return nil
}

// checkPath takes what stands behind an address in a URL, so that the path can't
// become part of the address.
func checkPath(path string) error {
	switch {
	case len(path) > PathMax:
		return fmt.Errorf("%d bytes are more than %d", len(path), PathMax)
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("%.80q does not begin with \"/\"", path)
	case strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }):
		return fmt.Errorf("%.80q has a blank, a control character or a \"#\"", path)
	}
	if _, err := url.Parse("http://twin" + path); err != nil {
		return fmt.Errorf("%.80q is no path of a URL", path)
	}
	return nil
}

// invalid is an error about a file, with what a person should look at.
func invalid(format string, args ...any) error { return api.Errorf(api.CodeInvalid, format, args...) }
