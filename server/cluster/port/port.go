package port

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/log"
)

const (
	// pooledConns to each other server: heartbeats, replication and one spare.
	pooledConns = 3
	// transportTimeout bounds one exchange of Raft, and the making of any
	// connection. A snapshot gets this much for each 256 KiB.
	transportTimeout = 10 * time.Second
	// rpcsInFlight of one turns Raft's pipelining off. A pipeline (raft 1.7.3)
	// can stand still for ever when a follower refuses entries: the sender waits
	// for the reader of the answers, which has left. The follower then gets
	// heartbeats and no entries, and the leader can't be stopped. With one exchange
	// at a time, the entries that come meanwhile go together in the next one.
	rpcsInFlight = 1
	// idleTimeout is how long connections between servers are kept for reuse.
	idleTimeout = 2 * time.Minute
	// idlePerServer is how many of them are kept: as many as requests are forwarded
	// at a time without a new connection.
	idlePerServer = 32
)

// Config says where a server listens.
type Config struct {
	Bind      string // host:port to listen at
	Advertise string // host:port that the other servers reach this one at; "" means Bind
	Secure    Secure
	Logger    *slog.Logger
}

// Secure is where TLS goes: both functions wrap what they are given. Without them
// the servers speak in the clear.
type Secure struct {
	Listener func(net.Listener) net.Listener
	Dialer   func(ctx context.Context, conn net.Conn, address string) (net.Conn, error)
}

// Port is a server's end of the connections between the servers.
type Port struct {
	address string
	mux     *mux
	dialer  *dialer
	raft    *raft.NetworkTransport
	http    *http.Transport
	serving sync.WaitGroup
}

// Listen opens the port. The error has code invalid when no other server could
// reach the address.
func Listen(cfg Config) (*Port, error) {
	listener, err := net.Listen("tcp", cfg.Bind) //nolint:noctx // an address is bound at once or not at all
	if err != nil {
		return nil, err
	}
	advertised, err := advertisedAddr(listener.Addr(), cfg.Advertise)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if cfg.Secure.Listener != nil {
		listener = cfg.Secure.Listener(listener)
	}
	p := &Port{
		address: advertised.String(),
		mux:     newMux(listener, advertised, cfg.Logger),
		dialer:  &dialer{secure: cfg.Secure.Dialer},
	}
	p.serving.Go(p.mux.serve)
	p.raft = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: &stream{queue: p.mux.raft, dialer: p.dialer}, MaxPool: pooledConns, Timeout: transportTimeout, MaxRPCsInFlight: rpcsInFlight,
		Logger: log.HCLog(cfg.Logger).Named("raft"),
	})
	p.http = &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, transportTimeout)
			defer cancel()
			return p.dialer.dial(ctx, address, protocolHTTP)
		},
		MaxIdleConnsPerHost: idlePerServer, IdleConnTimeout: idleTimeout, DisableCompression: true,
	}
	return p, nil
}

// advertisedAddr is where the other servers reach this one: the given address, or
// the bound one.
func advertisedAddr(bound net.Addr, given string) (net.Addr, error) {
	if given != "" {
		addr, err := net.ResolveTCPAddr("tcp", given)
		if err != nil {
			return nil, fmt.Errorf("advertise address %q: %w", given, err)
		}
		return addr, nil
	}
	if tcp, ok := bound.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return nil, api.Errorf(api.CodeInvalid, "the server listens at every address (%s): set the one to advertise to the others", bound)
	}
	return bound, nil
}

// Address is where the other servers reach this one, as host:port.
func (p *Port) Address() string { return p.address }

// Raft carries Raft's messages.
func (p *Port) Raft() *raft.NetworkTransport { return p.raft }

// Listener yields the connections that carry HTTP.
func (p *Port) Listener() net.Listener { return p.mux.http }

// Client sends HTTP requests to other servers. The host of a URL is the address of
// a server.
func (p *Port) Client() *http.Transport { return p.http }

// Close ends the listener, Raft's transport, and every connection whose first byte
// has not come. Who took a connection from Listener closes it.
func (p *Port) Close() error {
	err := errors.Join(p.raft.Close(), p.mux.close())
	p.serving.Wait()
	p.http.CloseIdleConnections()
	return err
}
