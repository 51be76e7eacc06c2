package simulator

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

	"github.com/oakumhq/oakum/internal/sender"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

// metaSend is the key of a target's metadata that says what to send to a bare TCP port.
// Without it, a greeting is waited for.
const metaSend = "oakum_send"

// errSilent says that a port takes connections and sends nothing. The port of a machine
// is open from before its guest boots: QEMU itself takes the connection.
var errSilent = errors.New("it takes connections and sends nothing")

// target sends requests to a twin.
type target struct {
	scheme  string
	path    string // of the health check; with gRPC the name of the service
	prompt  string // sent to a bare TCP port; a greeting is waited for without
	address string // set by the first check

	transport http.RoundTripper // nil for one of the client's own
	client    *sender.Client    // once the address is known
	rpc       *grpc.ClientConn
}

// newTarget prepares a twin for requests. Each twin has connections of its own.
func newTarget(m twin.Machine, prompt string, transport http.RoundTripper) *target {
	return &target{scheme: m.Scheme, path: m.Path, prompt: prompt, transport: transport}
}

// anyCertificate accepts what a twin shows: the certificate of its production name, at
// another address. The requests carry no secret.
func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func (t *target) close() {
	if t.client != nil {
		t.client.Close()
	}
	if t.rpc != nil {
		_ = t.rpc.Close() // the twin is over
	}
}

// check makes the target's own health check once.
func (t *target) check(ctx context.Context, address string) error {
	if err := t.at(address); err != nil {
		return err
	}
	status, err := t.ask(ctx, t.path)
	if err != nil {
		return err
	}
	if status < 200 || status > 299 {
		return fmt.Errorf("%s answers %d", t.path, status)
	}
	return nil
}

// at sets the address of the twin, which is known once it has been placed.
func (t *target) at(address string) (err error) {
	if t.address == address {
		return nil
	}
	t.address = address
	if t.client != nil {
		t.client.Close() // of a former address
	}
	base := &url.URL{Scheme: "http", Host: address}
	if t.scheme == "https" || t.scheme == twin.SchemeGRPCS {
		base.Scheme = "https"
	}
	t.client = sender.NewClient(base, t.transport)
	if t.scheme != twin.SchemeGRPC && t.scheme != twin.SchemeGRPCS {
		return nil
	}
	secret := insecure.NewCredentials()
	if t.scheme == twin.SchemeGRPCS {
		secret = credentials.NewTLS(anyCertificate())
	}
	if t.rpc != nil {
		_ = t.rpc.Close() // of a former address
	}
	if t.rpc, err = grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(secret)); err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	return nil
}

// ask sends one request and reads the whole answer. The status is that of HTTP, and 200
// for a good answer of another protocol.
func (t *target) ask(ctx context.Context, path string) (status int, err error) {
	switch t.scheme {
	case "":
		return http.StatusOK, t.exchange(ctx)
	case twin.SchemeGRPC, twin.SchemeGRPCS:
		return http.StatusOK, t.healthRPC(ctx, path)
	}
	return t.client.Do(ctx, workload.Request{Method: http.MethodGet, Path: path})
}

// send sends one request of the workload. It is an error when the answer is not as the
// workload expects. A request without a kind is the health check.
func (t *target) send(ctx context.Context, r workload.Request) error {
	if r.Kind != "" {
		_, err := t.client.Send(ctx, r)
		return err
	}
	status, err := t.ask(ctx, r.Path)
	if err == nil && !r.Expect.Accepts(status) {
		return fmt.Errorf("%s answers %d", r.Path, status)
	}
	return err
}

// exchange connects to a bare TCP port, sends what there is to send, and waits for the
// first byte of an answer or a greeting. A connection alone says nothing.
func (t *target) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sender.RequestMax)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var answer [1]byte
	if _, err = io.WriteString(conn, t.prompt); err == nil {
		_, err = io.ReadFull(conn, answer[:])
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSilent
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return errors.New("it closes connections without an answer")
	}
	return fmt.Errorf("ask for an answer: %w", err)
}

// healthRPC asks grpc.health.v1 for a service.
func (t *target) healthRPC(ctx context.Context, service string) error {
	ctx, cancel := context.WithTimeout(ctx, sender.RequestMax)
	defer cancel()
	answer, err := grpc_health_v1.NewHealthClient(t.rpc).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("its gRPC health is %s", answer.GetStatus())
	}
	return nil
}
