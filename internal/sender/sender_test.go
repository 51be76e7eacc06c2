package sender_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/sender"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

// server is a model twin on the bubble's clock.
type server struct {
	mu      sync.Mutex
	began   time.Time
	boot    time.Duration
	latency func(path string) time.Duration
	asked   []string // method, path and body of all but health checks
	started chan struct{}
}

func newServer() *server {
	return &server{
		began: time.Now(), boot: 2 * time.Second, started: make(chan struct{}),
		latency: func(string) time.Duration { return 10 * time.Millisecond },
	}
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.began) < s.boot {
		return nil, errors.New("connection refused")
	}
	if r.URL.Path != "/health" {
		body, _ := io.ReadAll(r.Body)
		s.asked = append(s.asked, r.Method+" "+r.URL.Path+string(body))
	}
	wait := s.latency(r.URL.Path)
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	status := http.StatusOK
	if r.URL.Path == "/broken" {
		status = http.StatusInternalServerError
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("ok")), Header: http.Header{}, Request: r}, nil
}

// options are for a workload of which /broken is a quarter.
func (s *server) options(out io.Writer) sender.Options {
	return sender.Options{
		Base: "http://127.0.0.1:8080", Health: "/health", Rate: 20, Seed: 7, WarmUp: 10 * time.Second, Duration: 10 * time.Second,
		Out: out, Transport: s,
		Workload: workload.Workload{Requests: []workload.Request{
			{Kind: workload.HTTP, Method: "POST", Path: "/good", Body: []byte("!"), Expect: 200, Weight: 3},
			{Kind: workload.HTTP, Method: "GET", Path: "/broken", Expect: 200, Weight: 1},
		}},
	}
}

// run sends the workload, started after five seconds.
func (s *server) run(t *testing.T, change func(*sender.Options)) []twin.Report {
	t.Helper()
	var out bytes.Buffer
	o := s.options(&out)
	if change != nil {
		change(&o)
	}
	time.AfterFunc(5*time.Second, func() { close(s.started) })
	must.NoError(t, sender.Run(t.Context(), o, s.started))
	return reports(t, out.Bytes())
}

func reports(t *testing.T, text []byte) []twin.Report {
	t.Helper()
	var all []twin.Report
	for line := range bytes.Lines(text) {
		must.LessEq(t, 16<<10, len(line))
		var r twin.Report
		must.NoError(t, json.Unmarshal(line, &r))
		must.LessEq(t, twin.ReportAnswers, len(r.Answers))
		all = append(all, r)
	}
	return all
}

// answers are those of one phase.
func answers(all []twin.Report, phase twin.LoadPhase) []twin.Answer {
	var out []twin.Answer
	for _, r := range all {
		if r.Phase == phase {
			out = append(out, r.Answers...)
		}
	}
	return out
}

func TestRun_WaitsWarmsUpAndSendsTheWorkload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newServer().run(t, nil)
		var phases []twin.LoadPhase
		for _, r := range all {
			if len(phases) == 0 || phases[len(phases)-1] != r.Phase {
				phases = append(phases, r.Phase)
			}
		}
		must.Eq(t, []twin.LoadPhase{twin.LoadWaiting, twin.LoadWarmUp, twin.LoadRunning, twin.LoadDone}, phases)
		must.False(t, all[0].Healthy)
		must.StrContains(t, all[0].Why, "connection refused")
		for _, r := range all {
			if r.Phase == twin.LoadWaiting && r.At.Sub(all[0].At) >= 2500*time.Millisecond {
				must.True(t, r.Healthy, must.Sprint(r.Why))
			}
		}
		must.Len(t, 250, answers(all, twin.LoadWarmUp))

		load := answers(all, twin.LoadRunning)
		must.Len(t, 200, load)
		failed := 0
		for _, a := range load {
			must.Eq(t, a.Request == 1, a.Failed)
			must.Eq(t, 10*time.Millisecond, a.Took())
			if a.Failed {
				must.Eq(t, http.StatusInternalServerError, a.Status)
				failed++
			}
		}
		must.Between(t, 30, failed, 70) // a quarter of 200
		must.True(t, slices.ContainsFunc(all, func(r twin.Report) bool {
			return r.Phase == twin.LoadRunning && r.Why == "GET /broken: status 500, and the workload expects 200"
		}))
	})
}

func TestRun_SameSeedSendsTheSameInTheSameOrder(t *testing.T) {
	asked := func(seed uint64) (paths []string) {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			s.run(t, func(o *sender.Options) { o.Seed = seed })
			paths = s.asked
		})
		return paths
	}
	first := asked(7)
	must.SliceContains(t, first, "POST /good!")
	must.Eq(t, first, asked(7))
	must.NotEq(t, first, asked(8))
}

func TestRun_ReportsEveryRequestOfATwinThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.latency = func(path string) time.Duration {
			if path == "/health" {
				return time.Millisecond
			}
			return time.Hour
		}
		began := time.Now()
		all := s.run(t, func(o *sender.Options) { o.Rate = sender.RateMax })
		load := answers(all, twin.LoadRunning)
		must.Len(t, 4000, load)
		for _, a := range load {
			must.True(t, a.Failed)
			must.Zero(t, a.Status)
			must.Eq(t, 5*time.Second, a.Took())
		}
		must.LessEq(t, 40*time.Second, time.Since(began)) // waiting 5, warm-up 10, rest 3, load 10, the last answers 5
	})
}

func TestRun_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		cause := errors.New("terminated")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(cause) })
		must.ErrorIs(t, sender.Run(ctx, s.options(io.Discard), s.started), cause)
	})
}

func TestRun_RefusesWrongOptions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*sender.Options)
		want   string
	}{
		"another machine": {func(o *sender.Options) { o.Base = "http://10.1.2.3:80" }, "loopback addresses only"},
		"a name":          {func(o *sender.Options) { o.Base = "http://localhost:80" }, "loopback addresses only"},
		"no URL":          {func(o *sender.Options) { o.Base = "127.0.0.1:80" }, "no address such as"},
		"no requests":     {func(o *sender.Options) { o.Workload = workload.Workload{} }, "no requests"},
		"no rate":         {func(o *sender.Options) { o.Rate = 0 }, "0 requests a second"},
		"too high a rate": {func(o *sender.Options) { o.Rate = 401 }, "401 requests a second"},
		"no duration":     {func(o *sender.Options) { o.Duration = 0 }, "a duration of 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			o := (&server{}).options(io.Discard)
			c.change(&o)
			must.ErrorContains(t, sender.Run(t.Context(), o, nil), c.want)
		})
	}
}
