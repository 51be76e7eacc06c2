package port

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/oakumhq/oakum/internal/log"
)

// The first byte of each connection between servers.
const (
	protocolRaft byte = 0x01
	protocolHTTP byte = 0x02
	// recordTLS begins a TLS handshake. A server without TLS names it in its log.
	recordTLS byte = 0x16
)

const (
	// firstByteTimeout is generous: a server sends the byte right after it has
	// connected. A caller that has not sent it within this time is no server.
	firstByteTimeout = 10 * time.Second
	// acceptPause is the wait after the listener failed, which happens when the
	// process is out of file descriptors.
	acceptPause = 200 * time.Millisecond
)

// mux splits the connections of one listener by their first byte.
type mux struct {
	listener net.Listener
	raft     *queue
	http     *queue
	logger   *slog.Logger
	done     chan struct{}
	routing  sync.WaitGroup
	repeats  log.Limiter

	mu      sync.Mutex
	unknown map[net.Conn]bool // connections whose first byte is awaited
	closed  bool
}

func newMux(listener net.Listener, advertise net.Addr, logger *slog.Logger) *mux {
	return &mux{
		listener: listener,
		raft:     newQueue(advertise),
		http:     newQueue(advertise),
		logger:   logger,
		done:     make(chan struct{}),
		unknown:  map[net.Conn]bool{},
	}
}

// serve accepts until close.
func (m *mux) serve() {
	defer m.routing.Wait()
	for {
		conn, err := m.listener.Accept()
		switch {
		case err == nil:
			if !m.await(conn) {
				_ = conn.Close() // closing down
				continue
			}
			m.routing.Go(func() { m.route(conn) })
		case errors.Is(err, net.ErrClosed):
			return
		default:
			m.logger.Warn("accept connection from a server", "error", err)
			pause := time.NewTimer(acceptPause)
			select {
			case <-pause.C:
			case <-m.done:
				pause.Stop()
				return
			}
		}
	}
}

// await notes a connection whose first byte has not come, so that close can end it.
func (m *mux) await(conn net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.unknown[conn] = true
	return true
}

// route reads the first byte and hands the connection on.
func (m *mux) route(conn net.Conn) {
	var first [1]byte
	err := conn.SetReadDeadline(time.Now().Add(firstByteTimeout))
	if err == nil {
		_, err = io.ReadFull(conn, first[:])
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	m.mu.Lock()
	delete(m.unknown, conn)
	m.mu.Unlock()
	if err == nil {
		switch first[0] {
		case protocolRaft:
			err = m.raft.put(conn)
		case protocolHTTP:
			err = m.http.put(conn)
		case recordTLS:
			err = errors.New("the caller speaks TLS, and this server runs without: give all servers of the cluster the same kind of tls block")
			if m.repeats.Allow("tls") {
				m.logger.Warn("a caller is refused at the servers' port", "from", conn.RemoteAddr().String(), "reason", err)
			}
		default:
			err = fmt.Errorf("unknown protocol %#x", first[0])
		}
	}
	if err != nil {
		m.logger.Debug("drop connection", "address", conn.RemoteAddr().String(), "error", err)
		_ = conn.Close() // it is of no use whatever this says
	}
}

// close ends the listener and every connection that was not handed on.
func (m *mux) close() error {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		close(m.done)
	}
	for conn := range m.unknown {
		_ = conn.Close() // wakes its reader
	}
	m.mu.Unlock()
	return errors.Join(m.listener.Close(), m.raft.Close(), m.http.Close())
}

// queue is a listener that yields the connections of one kind.
type queue struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

var _ net.Listener = (*queue)(nil)

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (q *queue) put(conn net.Conn) error {
	select {
	case q.conns <- conn:
		return nil
	case <-q.done:
		return net.ErrClosed
	}
}

// Accept waits for the next connection.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close ends the queue; the listener underneath stays.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr is the address that other servers reach this one at.
func (q *queue) Addr() net.Addr { return q.addr }
