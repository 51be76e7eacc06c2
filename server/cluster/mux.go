package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The first byte of each connection between servers.
const (
	protocolRaft byte = 0x01
	protocolHTTP byte = 0x02
	// recordTLS begins a TLS handshake, which no server without TLS expects.
	recordTLS byte = 0x16
)

const (
	// firstByteTimeout is generous: a peer sends the byte right after it
	// connected, and who does not within this time is no peer.
	firstByteTimeout = 10 * time.Second
	// acceptPause is how long to wait after the listener failed, which happens
	// when the process is out of file descriptors.
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

	told told

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

// await notes a connection whose first byte has not come, so that close ends it.
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
			if m.told.first("tls") {
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

// close ends the listener and all connections that were not handed on.
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

// queue is a listener whose connections the mux accepted.
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

// dialer connects to the other servers.
type dialer struct {
	secure func(ctx context.Context, conn net.Conn, address string) (net.Conn, error)
}

// dial connects to a server and says what for.
func (d *dialer) dial(ctx context.Context, address string, protocol byte) (net.Conn, error) {
	var plain net.Dialer
	conn, err := plain.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if d.secure != nil {
		secured, err := d.secure(ctx, conn, address)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secured
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	if _, err := conn.Write([]byte{protocol}); err != nil {
		return nil, errors.Join(fmt.Errorf("greet %s: %w", address, err), conn.Close())
	}
	if err := conn.SetWriteDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// stream is what Raft's own transport talks over.
type stream struct {
	*queue
	dialer *dialer
}

var _ raft.StreamLayer = (*stream)(nil)

// Dial connects to another server's Raft.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.dialer.dial(ctx, string(address), protocolRaft)
}
