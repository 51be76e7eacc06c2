package sender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

// ErrSilent says that a port takes connections and sends nothing. The port of a machine
// is open from before its guest boots: QEMU itself takes the connection.
var ErrSilent = errors.New("it takes connections and sends nothing")

// Endpoint sends requests to a twin at its port, whatever it speaks there. A Check
// comes first, since it says where the twin is; then Send is safe for concurrent use.
type Endpoint struct {
	scheme  string
	path    string // of the health check; with gRPC the name of the service
	prompt  string // sent to a bare TCP port; a greeting is waited for without
	address string // set by the first check

	transport http.RoundTripper // nil for one of the client's own
	client    *Client           // once the address is known
	rpc       *grpc.ClientConn
}

// NewEndpoint prepares a twin for requests. Each twin has connections of its own.
func NewEndpoint(m twin.Machine, prompt string, transport http.RoundTripper) *Endpoint {
	return &Endpoint{scheme: m.Scheme, path: m.Path, prompt: prompt, transport: transport}
}

// anyCertificate accepts what a twin shows: the certificate of its production name, at
// another address. The requests carry no secret.
func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// Close ends its connections.
func (e *Endpoint) Close() {
	if e.client != nil {
		e.client.Close()
	}
	if e.rpc != nil {
		_ = e.rpc.Close() // the twin is over
	}
}

// Check makes the twin's health check once, at its address.
func (e *Endpoint) Check(ctx context.Context, address string) error {
	if err := e.at(address); err != nil {
		return err
	}
	status, err := e.ask(ctx, e.path)
	if err != nil {
		return err
	}
	if status < 200 || status > 299 {
		return fmt.Errorf("%s answers %d", e.path, status)
	}
	return nil
}

// at sets the address of the twin, which is known once it has been placed.
func (e *Endpoint) at(address string) (err error) {
	if e.address == address {
		return nil
	}
	e.address = address
	if e.client != nil {
		e.client.Close() // of a former address
	}
	base := &url.URL{Scheme: "http", Host: address}
	if e.scheme == "https" || e.scheme == twin.SchemeGRPCS {
		base.Scheme = "https"
	}
	e.client = NewClient(base, e.transport)
	if e.scheme != twin.SchemeGRPC && e.scheme != twin.SchemeGRPCS {
		return nil
	}
	secret := insecure.NewCredentials()
	if e.scheme == twin.SchemeGRPCS {
		secret = credentials.NewTLS(anyCertificate())
	}
	if e.rpc != nil {
		_ = e.rpc.Close() // of a former address
	}
	if e.rpc, err = grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(secret)); err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	return nil
}

// ask sends one request and reads the whole answer. The status is that of HTTP, and 200
// for a good answer of another protocol.
func (e *Endpoint) ask(ctx context.Context, path string) (status int, err error) {
	switch e.scheme {
	case "":
		return http.StatusOK, e.exchange(ctx)
	case twin.SchemeGRPC, twin.SchemeGRPCS:
		return http.StatusOK, e.healthRPC(ctx, path)
	}
	return e.client.Do(ctx, workload.Request{Method: http.MethodGet, Path: path})
}

// Send sends one request of the workload. It is an error when the answer is not as the
// workload expects. A request without a kind is the health check.
func (e *Endpoint) Send(ctx context.Context, r workload.Request) error {
	if r.Kind != "" {
		_, err := e.client.Send(ctx, r)
		return err
	}
	status, err := e.ask(ctx, r.Path)
	if err == nil && !r.Expect.Accepts(status) {
		return fmt.Errorf("%s answers %d", r.Path, status)
	}
	return err
}

// exchange connects to a bare TCP port, sends what there is to send, and waits for the
// first byte of an answer or a greeting. A connection alone says nothing.
func (e *Endpoint) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, RequestMax)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var answer [1]byte
	if _, err = io.WriteString(conn, e.prompt); err == nil {
		_, err = io.ReadFull(conn, answer[:])
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSilent
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return errors.New("it closes connections without an answer")
	}
	return fmt.Errorf("ask for an answer: %w", err)
}

// healthRPC asks grpc.health.v1 for a service.
func (e *Endpoint) healthRPC(ctx context.Context, service string) error {
	ctx, cancel := context.WithTimeout(ctx, RequestMax)
	defer cancel()
	answer, err := grpc_health_v1.NewHealthClient(e.rpc).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("its gRPC health is %s", answer.GetStatus())
	}
	return nil
}
