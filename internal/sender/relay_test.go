package sender_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/log/logtest"
	"github.com/oakumhq/oakum/internal/sender"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/wait"
)

// lines is a report that is read while it is written.
type lines struct{ logtest.Book }

func (l *lines) all(t *testing.T) []twin.Report {
	t.Helper()
	return reports(t, []byte(l.String()))
}

// last is the newest line.
func (l *lines) last(t *testing.T) twin.Report {
	t.Helper()
	all := l.all(t)
	if len(all) == 0 {
		return twin.Report{}
	}
	return all[len(all)-1]
}

// relayed is a relay that runs before a service of the test.
type relayed struct {
	lines
	folder, address string
	start           chan struct{}
	end             func() error
}

func relay(t *testing.T, service http.HandlerFunc, change func(*sender.RelayOptions)) *relayed {
	t.Helper()
	behind := httptest.NewServer(service)
	t.Cleanup(behind.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	r := &relayed{folder: t.TempDir(), address: listener.Addr().String(), start: make(chan struct{})}
	o := sender.RelayOptions{
		Options: sender.Options{
			Base: behind.URL, Health: "/health", Rate: sender.RateMax, WarmUp: time.Second, Duration: time.Hour, Out: r,
		},
		Listener: listener, Folder: r.folder,
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sender.Relay(ctx, o, r.start) }()
	r.end = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { must.NoError(t, r.end()) })
	wait.For(t, "the twin is healthy", func() bool { return r.last(t).Healthy })
	return r
}

// phase waits for a phase of the load.
func (r *relayed) phase(t *testing.T, phase twin.LoadPhase) {
	t.Helper()
	wait.For(t, string(phase), func() bool { return r.last(t).Phase == phase })
}

func (r *relayed) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + r.address + path)
	must.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestRelay_CountsWhatTheProgramSends(t *testing.T) {
	r := relay(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/cut":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half") // the test reads the rest as missing
		default:
			_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI())
		}
	}, nil)
	status, _ := r.get(t, "/early")
	must.Eq(t, http.StatusServiceUnavailable, status)
	must.FileNotExists(t, filepath.Join(r.folder, twin.StartedFile))

	close(r.start)
	wait.For(t, "the program may begin", func() bool {
		_, err := os.Stat(filepath.Join(r.folder, twin.StartedFile))
		return err == nil
	})
	r.phase(t, twin.LoadRunning)
	status, body := r.get(t, "/item?id=1")
	must.Eq(t, http.StatusOK, status)
	must.Eq(t, "GET /item?id=1", body)
	status, _ = r.get(t, "/broken?token=s3cr3t")
	must.Eq(t, http.StatusInternalServerError, status)
	// A GET without an answer would be sent again by the client.
	if resp, err := http.Post("http://"+r.address+"/cut", "", nil); err == nil {
		_, err = io.ReadAll(resp.Body)
		must.ErrorIs(t, err, io.ErrUnexpectedEOF)
		must.NoError(t, resp.Body.Close())
	}
	wait.For(t, "all are counted", func() bool { return len(answers(r.all(t), twin.LoadRunning)) == 3 })
	got := answers(r.all(t), twin.LoadRunning)
	must.SliceEmpty(t, answers(r.all(t), twin.LoadWaiting))
	for i, want := range []twin.Answer{{Status: 200}, {Status: 500, Failed: true}, {Failed: true}} {
		must.Positive(t, got[i].Micros)
		got[i].Micros = 0
		must.Eq(t, want, got[i])
	}
	for _, line := range r.all(t) {
		must.StrNotContains(t, line.Why, "s3cr3t")
	}
}

func TestRelay_MeasuresRequestsThatTheirCallerGaveUp(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	r := relay(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(asked)
			<-answer
		}
	}, nil)
	close(r.start)
	r.phase(t, twin.LoadRunning)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+"/slow", nil)
		if err == nil {
			_, err = http.DefaultClient.Do(req)
		}
		gone <- err
	}()
	<-asked
	cancel()
	must.ErrorIs(t, <-gone, context.Canceled)
	close(answer)
	wait.For(t, "it is counted", func() bool { return len(answers(r.all(t), twin.LoadRunning)) == 1 })
}

func TestRelay_SaysHowTheProgramEnded(t *testing.T) {
	r := relay(t, func(http.ResponseWriter, *http.Request) {}, nil)
	outside := filepath.Join(t.TempDir(), "outside")
	must.NoError(t, os.WriteFile(outside, []byte("a secret"), 0o600))
	must.NoError(t, os.Symlink(outside, filepath.Join(r.folder, twin.StartedFile)))
	ended := filepath.Join(r.folder, twin.EndedFile)
	must.NoError(t, os.Symlink(outside, ended))
	close(r.start)
	r.phase(t, twin.LoadRunning)
	text, err := os.ReadFile(outside)
	must.NoError(t, err)
	must.Eq(t, "a secret", string(text))
	must.Eq(t, "", r.last(t).Ended)

	must.NoError(t, os.Remove(ended))
	must.NoError(t, os.WriteFile(ended, []byte("3\n"), 0o600))
	wait.For(t, "it is told", func() bool { return r.last(t).Ended == "exit code 3" })
}

func TestRelay_ForwardsOnAfterTheDuration(t *testing.T) {
	r := relay(t, func(http.ResponseWriter, *http.Request) {}, func(o *sender.RelayOptions) { o.WarmUp, o.Duration = 0, time.Millisecond })
	close(r.start)
	r.phase(t, twin.LoadDone)
	before := len(r.all(t))
	status, _ := r.get(t, "/late")
	must.Eq(t, http.StatusOK, status)
	must.NoError(t, r.end())
	must.Len(t, before, r.all(t))
}

func TestRelay_RefusesAddressesOfOthers(t *testing.T) {
	o := sender.Options{Base: "http://127.0.0.1:1", Rate: 1, Duration: time.Second, Out: io.Discard}
	everywhere, err := net.Listen("tcp", ":0")
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, everywhere.Close()) })
	must.ErrorContains(t, sender.Relay(t.Context(), sender.RelayOptions{Options: o, Listener: everywhere}, nil), "want a loopback address")

	loopback, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, loopback.Close()) })
	o.Base = "http://10.1.2.3:80"
	must.ErrorContains(t, sender.Relay(t.Context(), sender.RelayOptions{Options: o, Listener: loopback}, nil), "loopback addresses only")
}

func TestRelay_ReportsOnBesideAPipe(t *testing.T) {
	r := relay(t, func(http.ResponseWriter, *http.Request) {}, nil)
	path := filepath.Join(r.folder, twin.EndedFile)
	must.NoError(t, syscall.Mkfifo(path, 0o600))
	// Whoever holds a pipe open and says nothing keeps its reader waiting.
	held, err := os.OpenFile(path, os.O_RDWR, 0)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, held.Close()) })
	close(r.start)
	r.phase(t, twin.LoadRunning)
	before := len(r.all(t))
	wait.For(t, "the report goes on", func() bool { return len(r.all(t)) > before+2 })
	must.Eq(t, "", r.last(t).Ended)
}
