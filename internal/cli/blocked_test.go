package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
)

// A server whose audit log is blocked refuses reads, and takes what holds or turns back.
func TestRolloutAction_GoesWithoutTheReadThatIsRefused(t *testing.T) {
	for _, action := range []string{"rollback", "abort", "pause"} {
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			asked = append(asked, req.Method+" "+req.URL.Path)
			if req.Method == http.MethodGet {
				fail(w, api.Errorf(api.CodeUnavailable, "audit: no device took the entry"))
				return
			}
			must.NoError(t, json.NewEncoder(w).Encode(runningRollout()))
		}))
		t.Cleanup(server.Close)
		var out, warnings bytes.Buffer
		code := Run(t.Context(), command.Options{
			Args: []string{"rollout", action, "-address", server.URL, "01JD3M0001"}, Stdin: &bytes.Buffer{},
			Stdout: &out, Stderr: &warnings, Now: testNow, Getenv: func(string) string { return "" },
		})
		must.EqOp(t, 0, code, must.Sprint(warnings.String()))
		must.EqOp(t, "POST /v1/rollout/01JD3M0001/"+action, asked[len(asked)-1])
	}
}
