package nomad

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// terminal serves the command line of an allocation as Nomad does. It answers with the
// frames.
func terminal(t *testing.T, frames ...nomadapi.ExecStreamingOutput) (*Client, <-chan *http.Request) {
	t.Helper()
	asked := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/exec") {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return // the client reports it
		}
		defer conn.Close() //nolint:errcheck // the test is about what was read before
		asked <- r
		for _, f := range frames {
			if conn.WriteJSON(f) != nil {
				return
			}
		}
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	c, err := New(Config{Address: server.URL, Token: func() string { return "secret" }})
	must.NoError(t, err)
	return c, asked
}

func said(text string) nomadapi.ExecStreamingOutput {
	return nomadapi.ExecStreamingOutput{Stdout: &nomadapi.ExecStreamingIOOperation{Data: []byte(text)}}
}

func exited(status int) nomadapi.ExecStreamingOutput {
	return nomadapi.ExecStreamingOutput{Exited: true, Result: &nomadapi.ExecStreamingExitResult{ExitCode: status}}
}

func TestExec_ReturnsTheEndOfTheOutputAndTheStatus(t *testing.T) {
	complaint := nomadapi.ExecStreamingOutput{Stderr: &nomadapi.ExecStreamingIOOperation{Data: []byte("\xffworse\n")}}
	c, asked := terminal(t, said(strings.Repeat("x", execOutputMax)), said("bad\n"), complaint, exited(3))
	output, status, err := c.Exec(t.Context(), "prod", "a1", "server", []string{"/bin/sh", "-c", "server --version"})
	must.NoError(t, err)
	must.EqOp(t, 3, status)
	must.StrHasSuffix(t, "xbad\n?worse\n", output)
	must.LessEq(t, execOutputMax, len(output))
	r := <-asked
	must.EqOp(t, "/v1/client/allocation/a1/exec", r.URL.Path)
	must.EqOp(t, "secret", r.Header.Get("X-Nomad-Token"))
	q := r.URL.Query()
	must.EqOp(t, "prod server false", q.Get("namespace")+" "+q.Get("task")+" "+q.Get("tty"))
	must.EqOp(t, `["/bin/sh","-c","server --version"]`, q.Get("command"))
}

func TestExec_KnowsNothingOfACommandThatDoesNotEnd(t *testing.T) {
	c, _ := terminal(t, said("starting\n"))
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, api.Errorf(api.CodeTimeout, "no answer within 2m0s"))
	defer cancel()
	_, _, err := c.Exec(ctx, "prod", "a1", "server", []string{"sleep", "inf"})
	must.ErrorContains(t, err, "no answer within 2m0s")
}

func TestExec_KnowsNothingWhereNobodyAnswers(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	c, err := New(Config{Address: server.URL})
	must.NoError(t, err)
	_, _, err = c.Exec(t.Context(), "prod", "a1", "server", []string{"true"})
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
}
