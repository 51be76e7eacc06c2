package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
)

// How callers behave.
const (
	// callers are as many as keep two cores busy together with five servers.
	callers = 10
	// keysPerLoad is how many policies they share: few enough to collide.
	keysPerLoad = 5
	// pace is the pause between two calls of one caller.
	pace = 25 * time.Millisecond
	// CallTimeout is a caller's patience: about as long as an election, so that
	// some live through one and some give up.
	CallTimeout = 3 * time.Second
)

// Load is a set of callers that write and read policies, each call at another
// server.
type Load struct {
	cluster *daemon.Cluster
	prefix  string // of its keys
	began   time.Time
	stop    context.CancelFunc
	wait    sync.WaitGroup

	mu      sync.Mutex
	history []Operation
	values  int
}

// NewLoad starts callers whose keys begin with a prefix that nobody used before.
func NewLoad(ctx context.Context, c *daemon.Cluster, prefix string) *Load {
	l := &Load{cluster: c, prefix: prefix, began: time.Now()}
	l.Resume(ctx)
	return l
}

// Resume has the callers go on after Stop.
func (l *Load) Resume(ctx context.Context) {
	ctx, l.stop = context.WithCancel(ctx)
	for caller := range callers {
		l.wait.Go(func() { l.call(ctx, caller) })
	}
}

// Now is how long the load has been going on.
func (l *Load) Now() time.Duration { return time.Since(l.began) }

// Key is one of the keys.
func (l *Load) Key(i int) string { return fmt.Sprintf("%s-%d", l.prefix, i) }

// Accepted counts confirmed changes so far since a moment.
func (l *Load) Accepted(since time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Accepted(l.history, since, l.Now())
}

// Stop has the callers finish and returns what they saw.
func (l *Load) Stop() []Operation {
	l.stop()
	l.wait.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.history
}

// call is one caller's life.
func (l *Load) call(ctx context.Context, caller int) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		server := l.cluster.Servers[rand.IntN(len(l.cluster.Servers))]
		l.Do(context.WithoutCancel(ctx), caller, server, l.any())
	}
}

// any is a call at random.
func (l *Load) any() Operation {
	o := Operation{Key: l.Key(rand.IntN(keysPerLoad))}
	switch dice := rand.IntN(100); {
	case dice < 40:
		o.Kind, o.Value = Put, l.value()
	case dice < 45:
		o.Kind = Delete
	case dice < 75:
		o.Kind, o.Level = Read, Consistent
	default:
		o.Kind, o.Level = Read, Default
	}
	return o
}

// value is a word that was never written before.
func (l *Load) value() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values++
	return fmt.Sprintf("v%d", l.values)
}

// Do makes one call and remembers what came of it.
func (l *Load) Do(ctx context.Context, caller int, server *daemon.Server, o Operation) Operation {
	o.Caller, o.Server, o.Call = caller, server.Name, l.Now()
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	var err error
	switch o.Kind {
	case Put:
		_, err = server.Client.ApplyPolicy(ctx, Policy(o.Key, o.Value))
	case Delete:
		err = server.Client.DeletePolicy(ctx, o.Key)
	default:
		var p api.Policy
		p, _, err = server.Client.Policy(ctx, o.Key, client.Query{Consistent: o.Level == Consistent})
		if err == nil {
			o.Value = valueOf(p)
		}
	}
	o.Return = l.Now()
	o.Outcome = outcome(err)
	if err != nil {
		o.Err = err.Error()
	}
	if o.Kind == Read && o.Outcome == Absent {
		o.Outcome = Done
	}
	l.Record(o)
	return o
}

// Record adds a call that somebody else made.
func (l *Load) Record(o Operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, o)
}

// outcome reads an error as the API promises it.
func outcome(err error) Outcome {
	known, ok := errors.AsType[*api.Error](err)
	switch {
	case err == nil:
		return Done
	case !ok:
		return Unknown
	case known.Code == api.CodeNotFound:
		return Absent
	case known.Code == api.CodeNoLeader, strings.Contains(known.Message, "connect: connection refused"):
		return Refused // the second was never sent: nobody listens at the server that was asked
	}
	return Unknown
}

// Policy is a file that applies to nothing and holds a value.
func Policy(name, value string) api.SourceFile {
	return api.SourceFile{Name: name + ".hcl", Text: fmt.Sprintf("policy %q {\n  applies = target.job == %q\n}\n", name, value)}
}

func valueOf(p api.Policy) string {
	parts := strings.Split(p.File.Text, `"`)
	if len(parts) < 4 {
		return "unreadable"
	}
	return parts[3]
}
