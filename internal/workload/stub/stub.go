// Package stub answers in a twin for the services that the twin's program calls, so that
// the code that calls them is exercised although the twin reaches nothing.
//
// Guarantees. A stub gives the same answer to the same request, whoever asks. A request
// that no answer fits is answered 501 and counted, and is in the report before the answer
// is sent. The report is bounded, and is replaced as a whole.
//
// Serve starts goroutines and waits for them before it returns. The rest starts none.
package stub

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

// callMax bounds the name of a call, in bytes.
const callMax = 200

// otherCalls stands for all calls beyond twin.UnansweredMost.
const otherCalls = "other calls"

// Report counts the calls that stubs have no answers for. It is safe for concurrent use.
type Report struct {
	write func([]byte) error // replaces the report as a whole

	mu     sync.Mutex
	counts map[call]int64
	failed error
}

// call is a call of one stub.
type call struct{ stub, name string }

// NewReport returns a report, and writes it without any calls.
func NewReport(write func([]byte) error) (*Report, error) {
	r := &Report{write: write, counts: map[call]int64{}}
	if err := r.flush(); err != nil {
		return nil, err
	}
	return r, nil
}

// Err is the first error of writing the report.
func (r *Report) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *Report) count(c call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.counts[c]; !known && len(r.counts) >= twin.UnansweredMost {
		c.name = otherCalls // at most one more of each stub
	}
	r.counts[c]++
	if err := r.flush(); r.failed == nil {
		r.failed = err
	}
}

// flush writes the report. The caller holds the lock, or is the only one.
func (r *Report) flush() error {
	list := []twin.Unanswered{}
	for c, n := range maps.All(r.counts) {
		list = append(list, twin.Unanswered{Stub: c.stub, Call: c.name, Count: n})
	}
	slices.SortFunc(list, func(a, b twin.Unanswered) int {
		return cmp.Or(strings.Compare(a.Stub, b.Stub), strings.Compare(a.Call, b.Call))
	})
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := r.write(text); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Stub is the handler of one service. It is safe for concurrent use.
type Stub struct {
	name    string
	answers workload.Answers
	report  *Report
}

// New returns a stub, which counts in the report what it has no answers for.
func New(name string, answers workload.Answers, report *Report) *Stub {
	return &Stub{name: name, answers: answers, report: report}
}

// ServeHTTP answers a request after the answer's latency.
func (s *Stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := pathOf(r)
	a, ok := s.answers.Find(r.Method, target)
	if !ok {
		path, _, _ := strings.Cut(target, "?")
		name := r.Method + " " + path
		s.report.count(call{s.name, name[:min(len(name), callMax)]})
		http.Error(w, fmt.Sprintf("stub %s has no answer to %s", s.name, name), http.StatusNotImplemented)
		return
	}
	if a.Latency > 0 {
		wait := time.NewTimer(a.Latency)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		w.Header().Set(name, a.Headers[name])
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // whoever asked may have gone away
}

// pathOf is the path of a request with its query, as it was sent.
func pathOf(r *http.Request) string {
	if u, err := url.Parse(r.RequestURI); err == nil && u.Host != "" {
		return u.RequestURI()
	}
	return r.RequestURI
}
