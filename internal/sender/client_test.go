package sender

import (
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/workload"
)

// TestClientAsk_SpeaksTCP asks a real listener, since what is proved is the bytes on a
// connection.
func TestClientAsk_SpeaksTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	done := make(chan error, 1)
	go func() { done <- web.Serve(listener) }()
	t.Cleanup(func() {
		must.NoError(t, web.Close())
		must.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	c := NewClient(&url.URL{Scheme: "http", Host: listener.Addr().String()}, nil)
	defer c.Close()
	ask := func(answer string) (bool, string) {
		a, why := c.ask(t.Context(), 0, workload.Request{Kind: workload.TCP, Send: []byte("GET / HTTP/1.0\r\n\r\n"), Answer: []byte(answer), Weight: 1})
		return a.Failed, why
	}

	failed, why := ask("HTTP/1.0 200")
	must.False(t, failed, must.Sprint(why))
	failed, why = ask("HTTP/1.0 404")
	must.True(t, failed)
	must.StrContains(t, why, "the workload expects")
}
