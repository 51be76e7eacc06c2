package port

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/certs"
	"github.com/oakumhq/oakum/internal/log"
)

// welcome is the byte that a server sends once it has accepted the caller's
// certificate. In TLS 1.3 a caller's handshake ends before the server has checked
// that certificate. The caller waits for the byte, so that a refusal fails the
// dialling and not some later read.
const welcome byte = 0x06

// ServerName is the DNS name that the certificate of every server of a cluster
// carries. It names the role: a certificate for anything else, though signed by
// the same CA, does not open the servers' port.
func ServerName(cluster string) string { return "server." + cluster + ".oakum" }

// NewKeeper returns a keeper that takes only bundles with which a server can call
// the other servers of the cluster, and be called by them.
func NewKeeper(cluster string) *certs.Keeper {
	return certs.NewKeeper(func(b *certs.Bundle) error {
		if b.CAs == nil {
			return api.Errorf(api.CodeInvalid, "CA: want the one that signs the servers' certificates, have none")
		}
		return b.Verify(ServerName(cluster), time.Now(), x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	})
}

// TLS secures the port with the keeper's bundle, as the package comment says.
func TLS(keeper *certs.Keeper, cluster string, logger *slog.Logger) Secure {
	s := &secure{keeper: keeper, name: ServerName(cluster), logger: logger}
	return Secure{Listener: s.listener, Dialer: s.dial}
}

type secure struct {
	keeper *certs.Keeper
	name   string
	logger *slog.Logger

	repeats log.Limiter
}

func (s *secure) listener(l net.Listener) net.Listener { return &secureListener{l, s} }

// secureListener leaves the handshake to the first read, so that a slow caller
// holds up no other one.
type secureListener struct {
	net.Listener
	secure *secure
}

// Accept waits for the next connection.
func (l *secureListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &incoming{Conn: tls.Server(conn, l.secure.serverConfig()), secure: l.secure}, nil
}

// incoming is an accepted connection. Its first read does the handshake.
type incoming struct {
	*tls.Conn
	secure *secure
	once   sync.Once
	err    error
}

// Read does the handshake first.
func (c *incoming) Read(p []byte) (int, error) {
	c.once.Do(c.greet)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// greet does the handshake and sends the welcome. It runs under the deadline that
// the mux has set for the first byte.
func (c *incoming) greet() {
	if err := c.Handshake(); err != nil { //nolint:noctx // see above
		c.err = c.secure.refused(c.RemoteAddr(), err)
		return
	}
	_, c.err = c.Write([]byte{welcome})
}

// serverConfig asks for the bundle in use at each handshake.
func (s *secure) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			b, err := s.keeper.Bundle()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{b.Certificate},
				ClientAuth:   tls.RequireAndVerifyClientCert,
				ClientCAs:    b.CAs,
				// Without resumption every connection is checked against the present CAs.
				SessionTicketsDisabled: true,
				VerifyConnection: func(state tls.ConnectionState) error {
					return state.PeerCertificates[0].VerifyHostname(s.name)
				},
			}, nil
		},
	}
}

// dial does the handshake with another server and waits for its welcome.
func (s *secure) dial(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	b, err := s.keeper.Bundle()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, transportTimeout)
	defer cancel()
	secured := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    b.CAs,
		ServerName: s.name,
		// The certificate is sent whatever CAs the other server names, so that the
		// other server can say what is wrong with it.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &b.Certificate, nil },
	})
	if err := s.handshake(ctx, secured); err != nil {
		if ctx.Err() != nil || timedOut(err) {
			return nil, err // the other server refused nothing
		}
		return nil, s.dialFailed(address, err)
	}
	return secured, nil
}

// handshake does the TLS handshake and waits for the other server's welcome.
func (s *secure) handshake(ctx context.Context, conn *tls.Conn) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[0] != welcome {
		return fmt.Errorf("want its welcome, have byte %#x", answer[0])
	}
	return conn.SetReadDeadline(time.Time{})
}

// refused logs why a caller is refused, and returns that as an error.
func (s *secure) refused(from net.Addr, err error) error {
	host := from.String()
	if h, _, splitErr := net.SplitHostPort(host); splitErr == nil {
		host = h // the port is another one each time
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || timedOut(err) {
		return err // the caller went away by itself: a port scan, a health check
	}
	refusal := fmt.Errorf("a connection from %s is refused: %s", host, s.explain(err))
	if s.repeats.Allow(refusal.Error()) {
		s.logger.Warn("a caller is refused at the servers' port", "from", host, "reason", s.explain(err))
	}
	return refusal
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// dialFailed logs why a server can't be spoken to, and returns that as an error.
func (s *secure) dialFailed(address string, err error) error {
	reason := s.explain(err)
	if s.repeats.Allow(address + reason) {
		s.logger.Warn("a server can't be spoken to", "address", address, "reason", reason)
	}
	return api.Errorf(api.CodePermissionDenied, "the server at %s: %s", address, reason)
}

// explain says in one sentence what is wrong with the other side.
func (s *secure) explain(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		if op.Err.Error() == "tls: internal error" { // crypto/tls keeps its alerts to itself
			return "it has no certificate to show yet: its log says why"
		}
		return fmt.Sprintf("it refuses this server's certificate (%v): give both servers certificates of one CA that name %s and have not expired", op.Err, s.name)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "it does not speak TLS: give it a tls block like this server's"
	}
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("its certificate is for %s and not for %s: it is a client, or a server of another cluster", certs.Names(wrong.Certificate), s.name)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is signed by a CA that this server does not know: servers of one cluster need certificates of one CA"
	}
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch bad.Reason {
		case x509.Expired:
			return fmt.Sprintf("its certificate is valid from %s to %s only: renew it, or set the clocks right",
				bad.Cert.NotBefore.UTC().Format(time.RFC3339), bad.Cert.NotAfter.UTC().Format(time.RFC3339))
		case x509.IncompatibleUsage:
			return "its certificate lacks a usage: a server's is for both server and client authentication"
		default:
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return "it closed the connection: it may run without TLS"
	}
	return err.Error()
}
