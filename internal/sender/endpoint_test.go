package sender

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oakumhq/oakum/internal/twin"
)

// listen serves each connection with do, and closes it.
func listen(t *testing.T, do func(net.Conn)) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			do(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

// TestEndpoint_AConnectionIsNoAnswer: QEMU takes connections before the guest does.
func TestEndpoint_AConnectionIsNoAnswer(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		send string
		do   func(net.Conn)
		want string
	}{
		"a greeting":         {"", func(c net.Conn) { _, _ = io.WriteString(c, "220 mail\r\n") }, ""},
		"an answer":          {"PING\r\n", func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 6)); _, _ = c.Write([]byte{'+'}) }, ""},
		"closed at once":     {"", func(net.Conn) {}, "it closes connections without an answer"},
		"closed when asked":  {"PING\r\n", func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 6)) }, "it closes connections without an answer"},
		"reset":              {"PING\r\n", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.(*net.TCPConn).SetLinger(0) }, "it closes connections without an answer"},
		"silent, as if hung": {"", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }, ErrSilent.Error()},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			w := NewEndpoint(twin.Machine{}, c.send, nil)
			defer w.Close()
			err := w.Check(ctx, listen(t, c.do))
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.want)
			must.Eq(t, c.want == ErrSilent.Error(), errors.Is(err, ErrSilent))
		})
	}
}

func TestEndpoint_NobodyListens(t *testing.T) {
	t.Parallel()
	w := NewEndpoint(twin.Machine{}, "", nil)
	defer w.Close()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	address := listener.Addr().String()
	must.NoError(t, listener.Close())
	must.ErrorContains(t, w.Check(t.Context(), address), "refused")
}

func TestEndpoint_AsksForGRPCHealth(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	server, state := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, state)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })

	w := NewEndpoint(twin.Machine{Scheme: twin.SchemeGRPC, Path: "shop.Store"}, "", nil)
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must.ErrorContains(t, w.Check(ctx, listener.Addr().String()), "unknown service")
	state.SetServingStatus("shop.Store", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	must.ErrorContains(t, w.Check(ctx, listener.Addr().String()), "its gRPC health is NOT_SERVING")
	state.SetServingStatus("shop.Store", grpc_health_v1.HealthCheckResponse_SERVING)
	must.NoError(t, w.Check(ctx, listener.Addr().String()))
	status, err := w.ask(ctx, "shop.Store")
	must.NoError(t, err)
	must.Eq(t, 200, status)
}
