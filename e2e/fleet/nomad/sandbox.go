package nomad

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// measured is the interval in which a client measures what its tasks use.
	measured = time.Second
	// recently is the time over which a twin's rate is counted: shorter than the
	// pause that the simulator makes after its warm-up, in which twins are asked as
	// fast as they answer.
	recently = 2 * time.Second
	// uptime is how long the model's nodes had been up when the model began.
	uptime = time.Hour

	// What internal/nomad calls the task that makes a twin's disk, and where it names
	// the image to it.
	prepareTask  = "oakum-prepare"
	prepareDisk  = "disk"
	prepareImage = 3 // words after prepareDisk

	// What internal/nomad calls the task that asks a machine's guest agent, and where that
	// leaves the answers.
	agentTask    = "oakum-agent"
	agentAnswers = agentTask + "/local/answers.ndjson"
	// noAgent is what it leaves of a machine without an agent, as the model's are.
	noAgent = "\nend\n"
)

// emptyCapture is what a machine has sent that tries to reach nothing: the header of a
// capture of Ethernet frames of 256 bytes at most, as QEMU writes it.
const emptyCapture = "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x01\x00\x00\x00"

// Work is what a twin does: that of the service that it is a twin of, and what
// its build does to it.
type Work struct {
	Service load.Service
	Harm    load.Harm
}

// Files is what an allocation has written: by path, and what its tasks have said
// as TASK.stdout and TASK.stderr.
type Files map[string]string

// Sandbox stands for the nodes of a model. It serves the twins of machines, at
// addresses of this machine, so that whoever simulates a patch sends real
// requests to them, and it knows what allocations use and have written.
type Sandbox struct {
	// Work says what an instance of a build does. It is called with the model's
	// lock held; nil means that every service is as usual.
	Work func(fleet.Build) Work
	// Written is what an instance has written on top of what twins do; nil means
	// nothing.
	Written func(a *fleet.Alloc) Files

	model   *door.Model
	began   time.Time
	seen    uint64 // index of the last event that was looked at; guarded by the model
	servers map[string]*twinServer
	baked   map[string]string // digests of baked images, by path; guarded by the model
	group   sync.WaitGroup
	failed  error // why a twin has no address; the first one, guarded by the model
}

// NewSandbox makes the sandbox of a model. Close ends it.
func NewSandbox(m *door.Model) *Sandbox {
	s := &Sandbox{model: m, began: time.Now(), servers: map[string]*twinServer{}, baked: map[string]string{}}
	m.After(s.follow)
	return s
}

// Close ends all that it serves, and waits for it.
func (s *Sandbox) Close() {
	s.model.View(func(*fleet.Fleet) {
		for id, t := range s.servers {
			t.close()
			delete(s.servers, id)
		}
	})
	s.group.Wait()
}

// isTwin reports whether an allocation is the twin of a machine.
func isTwin(a *fleet.Alloc) bool {
	return strings.HasPrefix(a.Job.ID, twin.Prefix) && len(a.Ports) > 0 && slices.ContainsFunc(a.Group.Tasks, func(t fleet.Task) bool { return t.Driver == "qemu" })
}

// follow gives each twin that was placed an address before anybody reads of it,
// and ends those of twins that have ended.
func (s *Sandbox) follow(f *fleet.Fleet) {
	if f.Index() == s.seen {
		return
	}
	list, _ := f.Events(s.seen)
	s.seen = f.Index()
	for _, e := range list {
		if e.Topic != fleet.TopicAllocation || len(e.Filter) == 0 || !strings.HasPrefix(e.Filter[0], twin.Prefix) {
			continue
		}
		a, err := f.Alloc(e.Key)
		if err != nil || !isTwin(a) {
			continue
		}
		over := a.Client != fleet.ClientPending && a.Client != fleet.ClientRunning
		switch t := s.servers[a.ID]; {
		case t == nil && !over:
			s.open(a)
		case t != nil && over:
			t.close()
			delete(s.servers, a.ID)
		}
	}
}

// open listens for a twin.
func (s *Sandbox) open(a *fleet.Alloc) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(door.Host, "0"))
	if err != nil {
		s.failed = cmp.Or(s.failed, fmt.Errorf("serve twin %s: %w", a.Job.ID, err))
		return
	}
	for i := range a.Ports { // all of a twin's ports lead to its machine
		a.Ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	t := &twinServer{sandbox: s, alloc: a.ID, rng: rand.New(rand.NewPCG(uint64(len(s.servers)), s.seen))}
	if s.Work != nil {
		t.work = s.Work(a.Build())
	}
	if t.work.Service.Latency == 0 {
		t.work.Service.Latency = 10 * time.Millisecond
	}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}
	s.servers[a.ID] = t
	s.group.Go(func() { _ = t.server.Serve(listener) }) // it ends with close
}

// twinServer is one twin's machine.
type twinServer struct {
	sandbox *Sandbox
	alloc   string
	server  *http.Server

	// Guarded by the model.
	work     Work
	rng      *rand.Rand
	recent   []time.Time
	requests float64
}

func (t *twinServer) close() { _ = t.server.Close() } // nobody is told: it is over

// ServeHTTP implements http.Handler: the machine answers as its build does.
func (t *twinServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answers, failed bool
	var takes time.Duration
	t.sandbox.model.View(func(f *fleet.Fleet) {
		a, err := f.Alloc(t.alloc)
		if answers = err == nil && a.Answers(); answers {
			takes, failed = t.next(a, f.Now())
		}
	})
	if !answers {
		// The machine is not there yet: whoever forwards its port hangs up.
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
		return
	}
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return
	}
	if failed {
		http.Error(w, "failed", http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintln(w, "ok") // whoever asked has gone
}

// next draws how long the next request takes and whether it fails.
func (t *twinServer) next(a *fleet.Alloc, now time.Time) (takes time.Duration, failed bool) {
	t.requests++
	t.recent = append(slices.DeleteFunc(t.recent, func(at time.Time) bool { return now.Sub(at) > recently }), now)
	service, harm := t.work.Service, t.harm(a, now)
	if harm.Lies {
		harm = load.Harm{}
	}
	usual := math.Max(0, cmp.Or(service.Errors, 0.001))
	failed = t.rng.Float64() < usual*cmp.Or(harm.ErrorsBy, 1)+harm.Errors
	factor := cmp.Or(harm.Latency, 1)
	if t.rng.Float64() < harm.Tail {
		factor *= cmp.Or(harm.TailBy, 10)
	}
	spread := cmp.Or(service.Spread, 0.5)
	seconds := service.Latency.Seconds() * factor * math.Exp(spread*t.rng.NormFloat64())
	return time.Duration(seconds * float64(time.Second)), failed
}

// harm is what the build does now.
func (t *twinServer) harm(a *fleet.Alloc, now time.Time) load.Harm {
	h := t.work.Harm
	if now.Sub(a.Started) < h.After || float64(len(t.recent))/recently.Seconds() < h.Above {
		return load.Harm{}
	}
	return h
}

// usage is what an allocation uses: cores and bytes. In a fleet that has nothing
// to do that is a little.
func (s *Sandbox) usage(f *fleet.Fleet, a *fleet.Alloc) (cores, bytes float64) {
	now := f.Now()
	t := s.servers[a.ID]
	if t == nil {
		if cores, bytes, ok := f.Usage(a.ID); ok {
			return cores, bytes
		}
		return 0.01, 64 << 20
	}
	service, harm := t.work.Service, t.harm(a, now)
	rate := float64(len(t.recent)) / min(recently.Seconds(), max(1, now.Sub(a.Started).Seconds()))
	busy := cmp.Or(service.CPU, 2*time.Millisecond).Seconds() * cmp.Or(harm.CPU, 1)
	// No two measurements are alike, nor two machines.
	unlike := 1 + 0.02*t.rng.NormFloat64()
	cores = (cmp.Or(service.Idle, 0.01) + rate*busy) * max(0.5, unlike)
	bytes = cmp.Or(service.Memory, 128<<20)*cmp.Or(harm.Memory, 1) + harm.Leak*now.Sub(a.Started).Hours()
	return cores, bytes
}

// files is what an allocation has written by now.
func (s *Sandbox) files(a *fleet.Alloc, now time.Time) Files {
	out := Files{}
	if s.Written != nil {
		maps.Copy(out, s.Written(a))
	}
	for _, t := range a.Group.Tasks {
		args, _ := t.Config["args"].([]any)
		switch t.Name {
		case prepareTask:
			out["alloc/data/oakum-twin.sha256"] = s.digest(preparedImage(t))
		case agentTask:
			out[agentAnswers] = noAgent
		case bakeTask:
			if report := s.bake(a, t); report != "" {
				out[bakeReport] = report
			}
			if len(args) > digestImage && strings.HasSuffix(fmt.Sprint(args[len(args)-1]), strings.TrimPrefix(digestFile, "alloc/")) {
				out[digestFile] = s.digest(fmt.Sprint(args[digestImage])) + "\n"
			}
		}
	}
	if t := s.servers[a.ID]; t != nil && a.Client == fleet.ClientRunning {
		out["alloc/data/oakum-qmp.out"] = t.blocks(a, now)
		out["alloc/data/oakum-egress-0.pcap"] = emptyCapture
	}
	return out
}

// digest stands for the digest of an image, which is only a name here, or of a
// baked image.
func (s *Sandbox) digest(name string) string {
	if known := s.baked[name]; known != "" {
		return known
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// blocks is QEMU's newest answer about what the machine did to its disk.
func (t *twinServer) blocks(a *fleet.Alloc, now time.Time) string {
	harm := t.harm(a, now)
	// What the machine does without requests is a little, and rises with time.
	operations := now.Sub(a.Started).Seconds() + t.requests*cmp.Or(t.work.Service.Disk, 1)*cmp.Or(harm.Disk, 1)
	count := uint64(max(0, operations))
	answer, err := json.Marshal(map[string]any{
		"id": fmt.Sprintf("%.2f", (uptime + now.Sub(t.sandbox.began)).Truncate(measured).Seconds()),
		"return": []any{map[string]any{"device": "image0", "stats": map[string]uint64{
			"rd_operations": count / 2, "wr_operations": count - count/2, "rd_bytes": count / 2 * 4096, "wr_bytes": (count - count/2) * 4096,
		}}},
	})
	if err != nil {
		return ""
	}
	return string(answer) + "\n"
}
