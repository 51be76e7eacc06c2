package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// relay carries connections to one server and keeps what it carries for a
// while, each way: kernels without netem can't.
type relay struct {
	listener net.Listener
	target   string
	delay    atomic.Int64 // nanoseconds, each way
	jitter   atomic.Int64 // up to this is added

	wait  sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// newRelay listens at any port of an address.
func newRelay(address, target string) (*relay, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0")) //nolint:noctx // an address is bound at once or not at all
	if err != nil {
		return nil, fmt.Errorf("make relay: %w", err)
	}
	r := &relay{listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	r.wait.Go(r.serve)
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) serve() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.wait.Go(func() { r.carry(from) })
	}
}

// dialTimeout is longer than any delay here.
const dialTimeout = 5 * time.Second

// carry moves one connection's bytes both ways until either end closes.
func (r *relay) carry(from net.Conn) {
	to, err := net.DialTimeout("tcp", r.target, dialTimeout) //nolint:noctx // bounded, and close ends it
	if err != nil || !r.keep(from, to) {
		_ = from.Close() // whoever called sees that nobody is there
		return
	}
	var both sync.WaitGroup
	both.Go(func() { r.pour(to, from) })
	both.Go(func() { r.pour(from, to) })
	both.Wait()
	r.drop(from, to)
}

// chunk is what was read at a moment, and goes on at another.
type chunk struct {
	bytes []byte
	due   time.Time
}

// inFlight bounds the chunks that are under way in one direction.
const inFlight = 1024

// pour moves bytes one way, in order, each kept for its time.
func (r *relay) pour(to, from net.Conn) {
	chunks := make(chan chunk, inFlight)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 64<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				chunks <- chunk{buffer[:n], time.Now().Add(r.hold())}
			}
			if err != nil {
				return
			}
		}
	})
	broken := false
	for c := range chunks {
		if broken {
			continue // the reader must not be left waiting
		}
		timer := time.NewTimer(time.Until(c.due))
		<-timer.C
		_, err := to.Write(c.bytes)
		broken = err != nil
	}
	reader.Wait()
	_ = errors.Join(to.Close(), from.Close()) // the other direction ends with it
}

func (r *relay) hold() time.Duration {
	hold := time.Duration(r.delay.Load())
	if jitter := r.jitter.Load(); jitter > 0 {
		hold += time.Duration(rand.Int64N(jitter))
	}
	return hold
}

func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		for _, c := range conns {
			_ = c.Close() // the relay is closed
		}
		return false
	}
	for _, c := range conns {
		r.conns[c] = struct{}{}
	}
	return true
}

func (r *relay) drop(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		delete(r.conns, c)
	}
}

func (r *relay) close() error {
	err := r.listener.Close()
	r.mu.Lock()
	for c := range r.conns {
		_ = c.Close() // its pour ends
	}
	r.conns = nil
	r.mu.Unlock()
	r.wait.Wait()
	return err
}

// Delay keeps everything between the servers for a while, each way, and up to
// jitter longer. The network must have been made with Relay.
func (n *Network) Delay(hold, jitter time.Duration) {
	for _, r := range n.relays {
		r.delay.Store(int64(hold))
		r.jitter.Store(int64(jitter))
	}
}
