package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

// lonely is a server that leads a cluster of itself and reaches nobody else.
func lonely(f *testing.F) *Node {
	f.Helper()
	n, err := Open(Config{
		ID: "oak", Cluster: "east", Bind: "127.0.0.1:0", BootstrapExpect: 1, Logger: slog.New(slog.DiscardHandler),
	}, state.NewFSM(state.NewStore()))
	must.NoError(f, err)
	f.Cleanup(func() { must.NoError(f, n.Close()) })
	n.client = answering(func(*http.Request) (*http.Response, error) { return nil, errors.New("nobody is there") })
	ctx, cancel := context.WithTimeout(f.Context(), 30*time.Second)
	defer cancel()
	for n.Barrier(ctx) != nil {
		must.NoError(f, ctx.Err())
		pause(ctx, 10*time.Millisecond)
	}
	return n
}

// FuzzJoin sends a leader whatever claims to be a join or a leave. Nobody who
// can't be reached gets in, and the answer is always an error that says why.
func FuzzJoin(f *testing.F) {
	n := lonely(f)
	for _, body := range []string{
		`{"id": "ash", "address": "127.0.0.1:1", "cluster": "east"}`,
		`{"id": "oak", "address": "127.0.0.1:1", "cluster": "east"}`,
		`{"id": "ash", "address": "127.0.0.1:1", "cluster": "west"}`,
		`{"id": "", "address": ":"}`, `{"id": "a\u0000b", "address": "[::1]:0"}`, `[]`, `{`, `null`, ``,
	} {
		f.Add(http.MethodPost, pathJoin, []byte(body))
		f.Add(http.MethodPost, pathLeave, []byte(body))
	}
	f.Add(http.MethodGet, pathServer, []byte{})
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		if (path != pathJoin && path != pathLeave) || method != http.MethodPost {
			path, method = pathJoin, http.MethodPost
		}
		if path == pathLeave && bytes.Contains(body, []byte(n.cfg.ID)) {
			return // it would leave, as it should when it is asked to
		}
		answer := httptest.NewRecorder()
		n.internal.Handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body)))
		if answer.Code != http.StatusOK {
			var refused api.Error
			must.NoError(t, json.Unmarshal(answer.Body.Bytes(), &refused))
			must.NotEq(t, "", refused.Code)
			must.NotEq(t, "", refused.Message)
		}
		must.Len(t, 1, n.Servers())
	})
}

// FuzzForward has another server answer whatever it likes to a question or a
// forwarded request.
func FuzzForward(f *testing.F) {
	n := lonely(f)
	good, err := json.Marshal(n.status())
	must.NoError(f, err)
	f.Add(http.StatusOK, good)
	f.Add(http.StatusOK, []byte(`{"id": 7}`))
	f.Add(http.StatusOK, []byte(`{"last_contact": "soon", "proposal": [null]}`))
	f.Add(http.StatusConflict, []byte(`{"code": "conflict", "message": "no"}`))
	f.Add(http.StatusBadGateway, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		other := answering(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Status: "odd", Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://there:1"+pathServer, nil)
		must.NoError(t, err)
		var s status
		if err := exchange(other, request, &s); err != nil {
			must.NotEq(t, "", err.Error())
			return
		}
		must.EqOp(t, http.StatusOK, code)
		_, err = json.Marshal(s)
		must.NoError(t, err)
		must.Len(t, 2, proposal{}.next(n.self(), 2, []status{s}, time.Now()).members)
	})
}

type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }
