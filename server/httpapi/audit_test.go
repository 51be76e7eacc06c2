package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/audit"
)

// audited is an API whose calls are recorded in a file.
type audited struct {
	*server
	path string
}

func startAudited(t *testing.T) audited {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	log, err := audit.New(audit.Options{Server: "a", Key: audit.NewKey(), Devices: []audit.Device{audit.FileDevice{Path: path}}})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, log.Close()) })
	s := start(t, func(o *Options) {
		o.Audit = log
		o.Auth = tokens{
			"s3cret-a": {Name: "alice", Subject: "id-1", Via: "jwt", Capabilities: []api.Capability{api.CapRead, api.CapPatchSubmit, api.CapRollout, api.CapApprove}},
			"s3cret-n": {Name: "nobody", Via: "jwt"},
		}
	})
	return audited{s, path}
}

// ask answers one request, and returns when its last entry is recorded.
func (s audited) ask(t *testing.T, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set(headerToken, token)
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	return w
}

func (s audited) entries(t *testing.T) []audit.Entry {
	t.Helper()
	text, err := os.ReadFile(s.path)
	must.NoError(t, err)
	var out []audit.Entry
	for line := range bytes.Lines(text) {
		var e audit.Entry
		must.NoError(t, json.Unmarshal(line, &e))
		if e.Kind != audit.KindStart {
			out = append(out, e)
		}
	}
	return out
}

// block makes the device take nothing, and returns how it comes back.
func (s audited) block(t *testing.T) (unblock func()) {
	t.Helper()
	must.NoError(t, os.Truncate(s.path, 1))
	return func() { must.NoError(t, os.Rename(s.path, s.path+".evidence")) }
}

func TestAudit_RecordsWhoAskedForWhatAndTheAnswer(t *testing.T) {
	s := startAudited(t)
	w := s.ask(t, http.MethodPost, "/v1/rollout/r1/pause", "s3cret-a", `{"note":"s3cret-note"}`)
	must.EqOp(t, http.StatusOK, w.Code)
	have := s.entries(t)
	must.SliceLen(t, 2, have)
	request, response := have[0], have[1]
	must.EqOp(t, audit.KindRequest, request.Kind)
	must.EqOp(t, audit.KindResponse, response.Kind)
	must.EqOp(t, w.Header().Get(headerRequestID), request.ID)
	must.EqOp(t, request.ID, response.ID)
	must.EqOp(t, "/v1/rollout/{id}/pause", request.Request.Route)
	must.Eq(t, map[string]string{"id": "r1"}, request.Request.Path)
	must.Eq(t, &audit.Caller{Name: "alice", Subject: "id-1", Via: "jwt"}, request.Request.Caller)
	must.EqOp(t, "192.0.2.1:1234", request.Request.Remote)
	must.EqOp(t, http.StatusOK, response.Request.Status)
	must.StrHasPrefix(t, "hmac-sha256:", response.Request.Body)
}

func TestAudit_RecordsRefusals(t *testing.T) {
	s := startAudited(t)
	for token, status := range map[string]int{"": 401, "s3cret-x": 401, "s3cret-n": 403} {
		before := len(s.entries(t))
		must.EqOp(t, status, s.ask(t, http.MethodGet, "/v1/rollouts", token, "").Code)
		have := s.entries(t)[before:]
		must.SliceLen(t, 1, have)
		must.EqOp(t, audit.KindResponse, have[0].Kind)
		must.EqOp(t, status, have[0].Request.Status)
		must.EqOp(t, status == 403, have[0].Request.Caller != nil)
	}
}

func TestAudit_NamesWhatABodyIsAbout(t *testing.T) {
	s := startAudited(t)
	s.ask(t, http.MethodPost, "/v1/quarantines/lift", "s3cret-a", `{"patch":"openssl","target":{"namespace":"default","job":"web","group":"app"}}`)
	have := s.entries(t)
	must.SliceLen(t, 2, have)
	must.Eq(t, map[string][]string{"patch": {"openssl"}, "target": {"default/web/app"}}, have[1].Request.Names)
}

func TestAudit_HoldsNoSecrets(t *testing.T) {
	s := startAudited(t)
	s.ask(t, http.MethodPost, "/v1/patches", "s3cret-a", `{"file":{"name":"web.hcl","text":"PASSWORD = s3cret-env"}}`)
	s.ask(t, http.MethodPost, "/v1/rollout/r1/pause", "s3cret-a", `{"note":"s3cret-note"}`)
	s.ask(t, http.MethodGet, "/v1/rollouts?filter=s3cret-filter&token=s3cret-query", "s3cret-a", "")
	s.ask(t, http.MethodGet, "/v1/rollouts", "s3cret-wrong", "")
	text, err := os.ReadFile(s.path)
	must.NoError(t, err)
	must.StrContains(t, string(text), "alice")
	must.StrNotContains(t, string(text), "s3cret")
}

func TestAudit_DoesNothingThatNoDeviceRecords(t *testing.T) {
	s := startAudited(t)
	unblock := s.block(t)
	for _, path := range []string{"/v1/rollouts", "/v1/patches", "/v1/event/stream"} {
		w := s.ask(t, http.MethodGet, path, "s3cret-a", "")
		must.EqOp(t, http.StatusServiceUnavailable, w.Code)
		must.StrContains(t, w.Body.String(), "audit: no device took the entry")
	}
	must.EqOp(t, http.StatusServiceUnavailable, s.ask(t, http.MethodPost, "/v1/rollout/r1/promote", "s3cret-a", "").Code)
	must.EqOp(t, http.StatusServiceUnavailable, s.ask(t, http.MethodPost, "/v1/rollout/r1/resume", "s3cret-a", "").Code)
	must.EqOp(t, http.StatusServiceUnavailable, s.ask(t, http.MethodPost, "/v1/brake", "s3cret-a", `{"on":false}`).Code)
	must.EqOp(t, http.StatusServiceUnavailable, s.ask(t, http.MethodGet, "/v1/brake", "s3cret-a", "").Code)
	must.SliceEmpty(t, s.control.calls)
	must.EqOp(t, http.StatusOK, s.ask(t, http.MethodGet, "/v1/health", "s3cret-a", "").Code) // whoever watches the server is answered

	unblock()
	must.EqOp(t, http.StatusOK, s.ask(t, http.MethodPost, "/v1/rollout/r1/resume", "s3cret-a", "").Code)
	must.EqOp(t, http.StatusOK, s.ask(t, http.MethodPost, "/v1/brake", "s3cret-a", `{"on":false}`).Code)
	must.SliceLen(t, 2, s.control.calls)
}

func TestAudit_NeverRefusesWhatHoldsOrTurnsBack(t *testing.T) {
	s := startAudited(t)
	s.block(t)
	for _, action := range []string{"rollback", "abort", "pause", "unapprove"} {
		must.EqOp(t, http.StatusOK, s.ask(t, http.MethodPost, "/v1/rollout/r1/"+action, "s3cret-a", "").Code, must.Sprint(action))
		must.EqOp(t, action+" r1  by alice", s.control.calls[len(s.control.calls)-1])
	}
	must.EqOp(t, http.StatusOK, s.ask(t, http.MethodPost, "/v1/brake", "s3cret-a", `{"on":true,"reason":"incident"}`).Code)
	must.SliceLen(t, 5, s.control.calls)

	// Only the audit log lets it pass: who may not, still may not.
	must.EqOp(t, http.StatusForbidden, s.ask(t, http.MethodPost, "/v1/brake", "s3cret-n", `{"on":true,"reason":"incident"}`).Code)
	must.SliceLen(t, 5, s.control.calls)
}

// The longest request that a caller can make is recorded: a line has a limit.
func TestAudit_RecordsTheLongestRequest(t *testing.T) {
	s := startAudited(t)
	worst := strings.Repeat("%00", 300) // JSON takes six bytes for one
	var query []string
	names := slices.Clone(plainQuery)
	for i := range queryMax - len(plainQuery) {
		names = append(names, strconv.Itoa(i)+worst)
	}
	for _, name := range names {
		for range 20 {
			query = append(query, name+"="+worst)
		}
	}
	path := "/v1/rollout/" + worst + "/rollback?" + strings.Join(query, "&")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
	for _, name := range []string{headerForwarded, headerForwardedFor, headerToken} {
		r.Header.Set(name, strings.Repeat("\x00", 300))
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	must.EqOp(t, http.StatusUnauthorized, w.Code)
	must.SliceLen(t, 1, s.entries(t))
}

func TestAudit_LeavesAnswersAsTheyAreWithoutALog(t *testing.T) {
	s := start(t, nil)
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/rollouts", nil))
	must.EqOp(t, "", w.Header().Get(headerRequestID))
}

func TestAudit_LeavesOpenRoutesWithoutACallerOut(t *testing.T) {
	s := startAudited(t)
	must.EqOp(t, http.StatusOK, s.ask(t, http.MethodGet, "/v1/status/leader", "", "").Code)
	must.SliceEmpty(t, s.entries(t))
}
