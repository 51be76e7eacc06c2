package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/log"
)

// changing is an authenticator whose answer changes.
type changing struct {
	mu  sync.Mutex
	who api.Identity
	err error
}

func (c *changing) Authenticate(context.Context, string) (api.Identity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who, c.err
}

func (c *changing) set(change func(*changing)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// long are the requests that wait for something that never comes.
func long() []string {
	return []string{"/v1/event/stream", "/v1/rollouts?index=1&wait=10m", "/v1/agent/monitor"}
}

// lastOf asks for a path and returns the status and the last line of the answer, and how
// long it took in the bubble's time. meanwhile happens once the request waits.
func lastOf(t *testing.T, auth Authenticator, path string, meanwhile func()) (status int, last string, took time.Duration) {
	t.Helper()
	logger, err := log.New(io.Discard, "info", "text")
	must.NoError(t, err)
	a := New(Options{Server: "a", Store: newMemory(), Cluster: &node{leads: true}, Auth: auth, Logger: logger})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	req.Header.Set(headerToken, "t")
	answer := httptest.NewRecorder()
	began := time.Now()
	var asked sync.WaitGroup
	asked.Go(func() { a.ServeHTTP(answer, req) })
	synctest.Wait()
	meanwhile()
	asked.Wait()
	lines := strings.Split(strings.TrimSpace(answer.Body.String()), "\n")
	return answer.Code, lines[len(lines)-1], time.Since(began)
}

func TestLongRequests_EndWithTheToken(t *testing.T) {
	t.Parallel()
	ada := api.Identity{Name: "ada", Via: "jwt", Capabilities: []api.Capability{api.CapRead, api.CapOperator}, Grants: []api.Grant{
		{Rule: "r", Capabilities: []api.Capability{api.CapRead, api.CapOperator}},
	}}
	for name, tc := range map[string]struct {
		expires   time.Duration // zero: never
		change    func(*changing)
		code      api.ErrorCode
		want      string
		min, most time.Duration
	}{
		"expired": {
			expires: time.Minute, code: api.CodeUnauthenticated, want: "the token of ada expired at 2000-01-01T00:01:00Z",
			min: time.Minute, most: time.Minute,
		},
		"revoked": {
			change: func(c *changing) { c.err = api.Errorf(api.CodeUnauthenticated, "Vault does not know this token") },
			code:   api.CodeUnauthenticated, want: "the token of ada is not taken any more: Vault does not know this token",
			min: time.Second, most: retakeInterval,
		},
		"fewer rights": {
			change: func(c *changing) { c.who.Grants = []api.Grant{} },
			code:   api.CodePermissionDenied, want: "the rights of ada have changed: ask again", min: time.Second, most: retakeInterval,
		},
		"nobody to ask": {
			change: func(c *changing) { c.err = api.Errorf(api.CodeUnavailable, "ask Vault: connection refused") },
			code:   api.CodeUnavailable, want: "the token of ada is not taken any more: ask Vault: connection refused",
			min: doubtMax, most: doubtMax + retakeInterval,
		},
	} {
		for _, path := range long() {
			t.Run(name+" "+path, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					auth := &changing{who: ada}
					if tc.expires > 0 {
						auth.who.Expires = time.Now().Add(tc.expires)
					}
					status, last, took := lastOf(t, auth, path, func() {
						if tc.change != nil {
							auth.set(tc.change)
						}
					})
					must.Between(t, tc.min, took, tc.most)
					switch {
					case strings.Contains(path, "monitor"):
						must.EqOp(t, "... the log ends here: "+tc.want, last)
						must.EqOp(t, 200, status)
					case strings.Contains(path, "stream"):
						must.EqOp(t, 200, status)
						var end api.StreamEnd
						must.NoError(t, json.Unmarshal([]byte(last), &end))
						must.Eq(t, &api.Error{Code: tc.code, Message: tc.want}, end.Error)
					default:
						var end api.Error
						must.NoError(t, json.Unmarshal([]byte(last), &end))
						must.Eq(t, api.Error{Code: tc.code, Message: tc.want}, end)
						must.EqOp(t, tc.code.HTTPStatus(), status)
					}
				})
			})
		}
	}
}

// A Vault that is away for a moment cuts nobody off, and neither does a token that is as
// good as before.
func TestLongRequests_GoOnWithAGoodToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		auth := &changing{who: api.Identity{Name: "ada", Capabilities: []api.Capability{api.CapRead}, Grants: []api.Grant{
			{Rule: "r", Capabilities: []api.Capability{api.CapRead}},
		}}}
		status, _, took := lastOf(t, auth, "/v1/rollouts?index=1&wait=5m", func() {
			time.Sleep(time.Minute + time.Second) // between two looks
			auth.set(func(c *changing) { c.err = api.Errorf(api.CodeUnavailable, "connection refused") })
			time.Sleep(doubtMax - 2*retakeInterval)
			auth.set(func(c *changing) { c.err = nil })
		})
		must.EqOp(t, 200, status)
		must.EqOp(t, 5*time.Minute, took)
	})
}
