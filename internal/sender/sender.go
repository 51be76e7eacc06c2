// Package sender sends a workload to a twin from inside of the twin's sandbox, and
// reports what became of each request. A twin that is no virtual machine has a network
// namespace of its own, which nothing outside of it can ask. So the sender runs there,
// as a task of the same allocation.
//
// Guarantees. It asks loopback addresses only. It sends nothing but health checks until
// it is started, so that two senders start together. The same seed gives the same
// requests in the same order. It does not wait for slow answers before the next request
// is due. It ends by itself. Every request is in exactly one line of the report, and
// every line is bounded.
//
// An operator's load program may send requests of its own in the place of a workload. Relay
// stands between the program and the twin then, and counts what it sees itself.
//
// Run starts goroutines for requests and waits for them before it returns. Relay does not
// wait for requests that are under way when its context ends.
package sender

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// RateMax bounds the requests per second. With it, a report of fifteen minutes
	// stays below 20 MB.
	RateMax = 400
	// warmUpRequests is how many requests of the warm-up are sent. Their latencies
	// choose the thresholds above which the judge counts requests. It is a quarter
	// more than the judge asks for at the 99th percentile.
	warmUpRequests = 250
	// settling is the pause between the warm-up and what counts. It is longer than two
	// intervals of a Nomad client, so no gauge still covers the warm-up.
	settling = 3 * time.Second
	// checkInterval is the pause between two health checks.
	checkInterval = 500 * time.Millisecond
	// reportInterval is the longest time between two lines.
	reportInterval = time.Second
)

// Options say what is sent where.
type Options struct {
	Base     string            // http://127.0.0.1:8080 or https://...; the host is a loopback address
	Health   string            // path of the health check
	Workload workload.Workload // with at least one request
	Rate     float64           // requests per second, above 0, at most RateMax
	Seed     uint64            // chooses the order of the requests
	WarmUp   time.Duration     // at most
	Duration time.Duration     // of what counts; with Rate it is the number of requests
	Out      io.Writer         // gets one twin.Report per line
	// Transport carries the requests; nil means one of its own.
	Transport http.RoundTripper
}

// check says what is wrong with the options.
func (o Options) check() (*url.URL, error) {
	if o.Workload.Empty() {
		return nil, api.Errorf(api.CodeInvalid, "the workload has no requests")
	}
	return o.base()
}

// base is the address that is asked. It is an error when that, the rate or a time is wrong.
func (o Options) base() (*url.URL, error) {
	base, err := url.Parse(o.Base)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" {
		return nil, api.Errorf(api.CodeInvalid, "%.80q is no address such as http://127.0.0.1:8080", o.Base)
	}
	if ip := net.ParseIP(base.Hostname()); ip == nil || !ip.IsLoopback() {
		return nil, api.Errorf(api.CodeInvalid, "%s: a workload is sent to loopback addresses only", o.Base)
	}
	switch {
	case o.Rate <= 0 || o.Rate > RateMax:
		return nil, api.Errorf(api.CodeInvalid, "%g requests a second: want more than 0 and at most %d", o.Rate, RateMax)
	case o.Duration <= 0 || o.WarmUp < 0:
		return nil, api.Errorf(api.CodeInvalid, "a duration of %s after a warm-up of %s: want more than 0, and not less than 0", o.Duration, o.WarmUp)
	}
	return base, nil
}

// Run checks the twin's health until start is closed, warms the twin up, sends the
// workload, and returns when all of it is answered or given up. An error means that the
// options are wrong, that the report can't be written, or that ctx ended.
func Run(ctx context.Context, o Options, start <-chan struct{}) error {
	base, err := o.check()
	if err != nil {
		return err
	}
	c := NewClient(base, o.Transport)
	defer c.Close()
	r := newReport(o.Out)
	s := &sender{o: o, client: c, report: r, sequence: o.Workload.Sequence(rand.New(rand.NewPCG(o.Seed, 0)))}
	phases := []func(context.Context) error{
		func(ctx context.Context) error { return s.wait(ctx, start) }, s.warmUp, s.load,
	}
	for _, phase := range phases {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return r.finish()
}

// sender is one run.
type sender struct {
	o        Options
	client   *Client
	report   *report
	sequence *workload.Sequence
}

// wait checks the twin's health until the start.
func (s *sender) wait(ctx context.Context, start <-chan struct{}) error {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		if err := s.report.health(s.client.check(ctx, s.o.Health)); err != nil {
			return err
		}
		select {
		case <-start:
			return nil
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the start: %w", context.Cause(ctx))
		}
	}
}

// warmUp sends requests as fast as they are answered, all of the workload in turn, and
// lets the twin come to rest.
func (s *sender) warmUp(ctx context.Context) error {
	s.report.enter(twin.LoadWarmUp)
	hurry, cancel := context.WithTimeout(ctx, s.o.WarmUp)
	defer cancel()
	for i := 0; i < warmUpRequests && hurry.Err() == nil; i++ {
		which := i % len(s.o.Workload.Requests)
		answer, why := s.client.ask(hurry, which, s.o.Workload.Requests[which])
		if hurry.Err() != nil {
			break // it was cut off, and says nothing
		}
		if err := s.report.answered(answer, why); err != nil {
			return err
		}
	}
	if err := s.report.flush(); err != nil {
		return err
	}
	return comeToRest(ctx)
}

// comeToRest lets a twin come to rest after its warm-up.
func comeToRest(ctx context.Context) error {
	rest := time.NewTimer(settling)
	defer rest.Stop()
	select {
	case <-rest.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("warm up: %w", context.Cause(ctx))
	}
}

// outcome is an answer on its way into the report.
type outcome struct {
	answer twin.Answer
	why    string
}

// load sends the workload at its rate.
func (s *sender) load(ctx context.Context) error {
	s.report.enter(twin.LoadRunning)
	outcomes := make(chan outcome)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.send(ctx, outcomes)
	}()
	line := time.NewTicker(reportInterval)
	defer line.Stop()
	var failed error
	for {
		select {
		case out := <-outcomes:
			if err := s.report.answered(out.answer, out.why); failed == nil {
				failed = err
			}
		case <-line.C:
			if err := s.report.flush(); failed == nil {
				failed = err
			}
		case <-sent:
			if ctx.Err() != nil {
				return fmt.Errorf("send the workload: %w", context.Cause(ctx))
			}
			return failed
		}
	}
}

// send sends each request when it is due, and returns when all have an outcome.
func (s *sender) send(ctx context.Context, outcomes chan<- outcome) {
	due := time.NewTicker(time.Duration(float64(time.Second) / s.o.Rate))
	defer due.Stop()
	var requests sync.WaitGroup
	defer requests.Wait()
	for range max(1, int(s.o.Rate*s.o.Duration.Seconds())) {
		which := s.sequence.Next()
		requests.Go(func() {
			answer, why := s.client.ask(ctx, which, s.o.Workload.Requests[which])
			if ctx.Err() == nil {
				outcomes <- outcome{answer, why}
			}
		})
		select {
		case <-due.C:
		case <-ctx.Done():
			return
		}
	}
}
