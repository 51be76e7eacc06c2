package nomad_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	served "github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet"
)

// TestNomadRefusesNonsense holds that no request ends the model or a connection.
func TestNomadRefusesNonsense(t *testing.T) {
	t.Parallel()
	m := door.NewModel(fleet.New(1, time.Now()))
	sandbox := served.NewSandbox(m)
	server := httptest.NewServer(served.New(m, sandbox))
	t.Cleanup(func() { server.Close(); sandbox.Close() })
	const register, group = "/v1/jobs", `{"Job":{"ID":"x","Name":"x","Type":"service","TaskGroups":[{"Name":"g","Count":1,"Tasks":[{"Name":"t","Driver":"docker"}]}]}}`
	for _, tc := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"a job of one group", register, group, http.StatusOK, "EvalID"},
		{"half a body", register, `{`, http.StatusBadRequest, "unexpected EOF"},
		{"no group", register, `{"Job":{"ID":"x","TaskGroups":[null]}}`, http.StatusBadRequest, "null in a list"},
		{"no task", register, `{"Job":{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[null]}]}}`, http.StatusBadRequest, "null in a list"},
		{"no service", register, strings.Replace(group, `"Count"`, `"Services":[null],"Count"`, 1), http.StatusBadRequest, "null in a list"},
		{"no network", register, strings.Replace(group, `"Count"`, `"Networks":[null],"Count"`, 1), http.StatusBadRequest, "null in a list"},
		{"too many", register, strings.Replace(group, `"Count":1`, `"Count":2000000000`, 1), http.StatusInternalServerError, "configured job_max_count: 50001 > 50000"},
		{"fewer than none", register, strings.Replace(group, `"Count":1`, `"Count":-1`, 1), http.StatusInternalServerError, "can't be negative"},
		{"too many of a group", "/v1/job/x/scale", `{"Count":2000000000,"Target":{"Group":"g"}}`, http.StatusInternalServerError, "2000000000 > 50000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+tc.path, strings.NewReader(tc.body))
			must.NoError(t, err)
			res, err := http.DefaultClient.Do(req)
			must.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			must.NoError(t, err)
			must.NoError(t, res.Body.Close())
			must.EqOp(t, tc.status, res.StatusCode, must.Sprint(string(text)))
			must.StrContains(t, string(text), tc.says)
		})
	}
}
