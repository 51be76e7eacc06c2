package sender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/internal/workload/proxy"
)

const (
	// headersWithin is how long a load program may take to send a request's headers.
	headersWithin = 30 * time.Second
	// endedMax is how many bytes of an exit code are reported.
	endedMax = 16
)

// RelayOptions say how a load program reaches a twin. Workload and Seed are of no use: the
// program chooses what it sends.
type RelayOptions struct {
	Options
	Listener net.Listener // at a loopback address, where the program finds the twin; Relay closes it
	Folder   string       // of twin.StartedFile and twin.EndedFile; it is there when the load starts
}

// relay stands between a load program and a twin.
type relay struct {
	o        RelayOptions
	sender   *sender
	proxy    *proxy.Proxy
	pace     *rate.Limiter
	started  atomic.Bool
	outcomes chan outcome
	folder   *os.Root // once it has started; the relay may be root, and follows no link out of it
}

// Relay stands between a load program and a twin, and reports what became of each request
// that it forwarded, so that nothing need be believed of what the program says. It forwards
// at most Rate requests a second, and has the others wait; that wait is no part of their
// latency. A forwarded request is measured to its end, also when its caller has gone away,
// and has failed after RequestMax.
//
// The program may begin when start is closed. The first requests are the warm-up. Once the
// duration is over, the relay goes on forwarding, and no longer reports, until ctx ends.
func Relay(ctx context.Context, o RelayOptions, start <-chan struct{}) error {
	base, err := o.base()
	if err != nil {
		return err
	}
	if at, ok := o.Listener.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return api.Errorf(api.CodeInvalid, "listen at %s: want a loopback address with a port, such as 127.0.0.1:9999", o.Listener.Addr())
	}
	c := NewClient(base, o.Transport)
	defer c.Close()
	r := &relay{
		o: o, sender: &sender{o: o.Options, client: c, report: newReport(o.Out)}, proxy: proxy.New(base, nil, time.Now),
		pace: rate.NewLimiter(RateMax, 1), outcomes: make(chan outcome),
	}
	return r.run(ctx, start)
}

// run forwards until ctx ends or the report can't be written.
func (r *relay) run(ctx context.Context, start <-chan struct{}) error {
	group, inner := errgroup.WithContext(ctx)
	r.proxy.Observe(r.sender.client.http.Transport, func(o proxy.Outcome) {
		select {
		case r.outcomes <- observed(o):
		case <-inner.Done():
		}
	})
	server := &http.Server{Handler: r, ReadHeaderTimeout: headersWithin}
	group.Go(func() error {
		if err := server.Serve(r.o.Listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the load program: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-inner.Done()
		return server.Close() // the program is over, or nobody counts any more
	})
	group.Go(func() error { return r.follow(inner, start) })
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// observed is what the report says of a request. All requests of a load program are one
// request of the workload.
func observed(o proxy.Outcome) outcome {
	out := outcome{answer: twin.Answer{Status: o.Status, Micros: o.Took.Microseconds()}}
	var usual workload.Expect // of a request of which nobody says how it is answered
	path, _, _ := strings.Cut(o.Target, "?")
	switch {
	case o.Status == 0:
		out.answer.Failed, out.why = true, o.Method+" "+path+": no whole answer"
	case !usual.Accepts(o.Status):
		out.answer.Failed, out.why = true, fmt.Sprintf("%s %s: status %d", o.Method, path, o.Status)
	}
	return out
}

// ServeHTTP forwards a request when its turn comes.
func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.started.Load() {
		http.Error(w, "the load has not begun", http.StatusServiceUnavailable)
		return
	}
	if err := r.pace.Wait(req.Context()); err != nil {
		return // its caller has gone away before its turn
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), RequestMax)
	defer cancel()
	r.proxy.ServeHTTP(w, req.WithContext(ctx))
}

// follow leads through the phases of the load.
func (r *relay) follow(ctx context.Context, start <-chan struct{}) error {
	report := r.sender.report
	if err := r.sender.wait(ctx, start); err != nil {
		return err
	}
	folder, err := os.OpenRoot(r.o.Folder)
	if err != nil {
		return api.Errorf(api.CodeInvalid, "start the load program: %v", err)
	}
	defer func() { _ = folder.Close() }() // nothing is written through it any more
	r.folder = folder
	r.started.Store(true)
	if err := r.begin(); err != nil {
		return err
	}
	report.enter(twin.LoadWarmUp)
	left := warmUpRequests
	err = r.take(ctx, r.o.WarmUp, func(out outcome) (bool, error) {
		left--
		return left <= 0, report.answered(out.answer, out.why)
	})
	if err != nil {
		return err
	}
	r.pace.SetLimit(rate.Limit(r.o.Rate))
	uncounted := func(outcome) (bool, error) { return false, nil }
	if err := r.take(ctx, settling, uncounted); err != nil {
		return err
	}
	report.enter(twin.LoadRunning)
	err = r.take(ctx, r.o.Duration, func(out outcome) (bool, error) { return false, report.answered(out.answer, out.why) })
	if err != nil {
		return err
	}
	if err := report.finish(); err != nil {
		return err
	}
	for {
		select {
		case <-r.outcomes:
		case <-ctx.Done():
			return nil
		}
	}
}

// take uses outcomes until they are enough, or until the time has passed. It writes a line
// a second, also when nothing came.
func (r *relay) take(ctx context.Context, within time.Duration, use func(outcome) (enough bool, err error)) error {
	over := time.NewTimer(within)
	defer over.Stop()
	line := time.NewTicker(reportInterval)
	defer line.Stop()
	report := r.sender.report
	for {
		select {
		case out := <-r.outcomes:
			if enough, err := use(out); err != nil {
				return err
			} else if enough {
				return report.flush()
			}
		case <-line.C:
			report.ended = r.ended()
			if err := report.flush(); err != nil {
				return err
			}
		case <-over.C:
			return report.flush()
		case <-ctx.Done():
			return fmt.Errorf("follow the load program: %w", context.Cause(ctx))
		}
	}
}

// begin lets the load program begin. One that has begun by itself was not forwarded.
func (r *relay) begin() error {
	file, err := r.folder.OpenFile(twin.StartedFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("start the load program: %w", err)
	}
	return nil
}

// ended is how the load program has failed, or "" while it has not. A file that can't be
// read is none: what is missing then are requests.
func (r *relay) ended() string {
	// A pipe in the place of the file must not stop the report: neither to open it nor to
	// read it while somebody holds its other end.
	file, err := r.folder.OpenFile(twin.EndedFile, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }() // it is only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	code := make([]byte, endedMax)
	n, err := io.ReadAtLeast(file, code, 1)
	if err != nil && n == 0 {
		return ""
	}
	return "exit code " + strings.ToValidUTF8(strings.TrimSpace(string(code[:n])), "")
}
