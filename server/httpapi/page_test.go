package httpapi

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/ui"
)

// withPage mounts the web page as the server does.
func withPage(t *testing.T, o *Options) {
	t.Helper()
	page, err := ui.New(slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	o.Page = page
}

// browse sends one request as a browser does.
func browse(t *testing.T, method, url, token string, form url.Values, change func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(form.Encode()))
	must.NoError(t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if token != "" {
		req.AddCookie(&http.Cookie{Name: "oakum", Value: token})
	}
	if change != nil {
		change(req)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	must.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestPage_HasTheChecksOfTheAPI(t *testing.T) {
	s := start(t, func(o *Options) { withPage(t, o) })
	s.store.put(api.Rollout{ID: "r1", Patch: "web-2", Status: api.RolloutRunning})
	status, text := browse(t, http.MethodGet, s.url+"/ui/rollouts", "", nil, nil)
	must.EqOp(t, http.StatusOK, status)
	must.StrContains(t, text, "web-2")

	status, text = browse(t, http.MethodGet, s.url+"/ui/rollouts", "", nil, func(r *http.Request) { r.Host = "rebound.example" })
	must.EqOp(t, http.StatusForbidden, status)
	must.StrContains(t, text, "refuse host")
	must.StrNotContains(t, text, "web-2")

	status, text = browse(t, http.MethodPost, s.url+"/ui/rollout/r1/rollback", "", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	must.EqOp(t, http.StatusForbidden, status)
	must.StrContains(t, text, "cross-site")
	must.SliceEmpty(t, s.control.calls)

	status, _ = browse(t, http.MethodPost, s.url+"/ui/rollout/r1/rollback", "", url.Values{"note": {"slow"}}, nil)
	must.EqOp(t, http.StatusSeeOther, status)
	must.Eq(t, []string{"rollback r1 slow by dev"}, s.control.calls)
}

// TestPage_HasTheRightsOfItsUser shows each user the targets of their rules, and records
// what they do with their name and address.
func TestPage_HasTheRightsOfItsUser(t *testing.T) {
	s := startAuditedPage(t)
	for id, namespace := range map[string]string{"r1": "a", "r2": "b"} {
		s.store.put(api.Rollout{ID: id, Patch: "patch-of-" + namespace, Status: api.RolloutRunning, Target: api.TargetRef{Namespace: namespace, Job: "job-" + namespace, Group: "g"}})
	}
	_, text := browse(t, http.MethodGet, s.url+"/ui/rollouts", "all", nil, nil)
	must.StrContains(t, text, "job-a")
	must.StrContains(t, text, "job-b")
	_, text = browse(t, http.MethodGet, s.url+"/ui/rollouts", "a", nil, nil)
	must.StrContains(t, text, "job-a")
	must.StrNotContains(t, text, "job-b")
	must.StrNotContains(t, text, "patch-of-b")
	status, text := browse(t, http.MethodGet, s.url+"/ui/rollout/r2", "a", nil, nil)
	must.EqOp(t, http.StatusNotFound, status)
	must.StrNotContains(t, text, "job-b")
	status, _ = browse(t, http.MethodPost, s.url+"/ui/rollout/r2/rollback", "a", nil, nil)
	must.EqOp(t, http.StatusNotFound, status)
	must.SliceEmpty(t, s.control.calls)
	status, _ = browse(t, http.MethodPost, s.url+"/ui/rollout/r1/rollback", "a", nil, nil)
	must.EqOp(t, http.StatusSeeOther, status)
	must.Eq(t, []string{"rollback r1  by bob"}, s.control.calls)

	found := false
	for _, e := range s.entries(t) {
		found = found || (e.Request != nil && e.Request.Route == "/v1/rollout/{id}/rollback" && e.Request.Caller != nil &&
			e.Request.Caller.Name == "bob" && strings.HasPrefix(e.Request.Remote, "127.0.0.1:"))
	}
	must.True(t, found, must.Sprint("the audit log has the rollback with bob's name and address"))
}

// startAuditedPage is an audited API with the page, and a user of the namespace a.
func startAuditedPage(t *testing.T) audited {
	t.Helper()
	s := startAudited(t)
	withPage(t, &s.api.opt)
	s.api.opt.Auth = tokens{
		"all": {Name: "alice", Via: "jwt", Capabilities: api.Capabilities()},
		"a": {Name: "bob", Via: "jwt", Capabilities: []api.Capability{api.CapRead, api.CapRollout}, Grants: []api.Grant{
			{Rule: "team-a", Capabilities: []api.Capability{api.CapRead, api.CapRollout}, Namespaces: []string{"a"}},
		}},
	}
	s.api.opt.Metrics = nil // a registry of its own
	whole := New(s.api.opt)
	web := httptest.NewServer(whole)
	t.Cleanup(web.Close)
	t.Cleanup(whole.Close)
	s.url = web.URL
	return s
}

// TestPage_RollsBackWithoutAnAuditDevice holds that a page needs nothing for a rollback
// that the API can refuse for the lack of a device.
func TestPage_RollsBackWithoutAnAuditDevice(t *testing.T) {
	s := startAuditedPage(t)
	s.store.put(api.Rollout{ID: "r1", Status: api.RolloutRunning, Target: api.TargetRef{Namespace: "a", Job: "web", Group: "web"}})
	unblock := s.block(t)
	defer unblock()
	status, _ := browse(t, http.MethodGet, s.url+"/ui/rollouts", "all", nil, nil)
	must.NotEq(t, http.StatusOK, status)
	status, text := browse(t, http.MethodGet, s.url+"/ui/rollout/r1/rollback", "all", nil, nil)
	must.EqOp(t, http.StatusOK, status)
	must.StrContains(t, text, `<form method="post" action="/ui/rollout/r1/rollback">`)
	for _, action := range []string{"rollback", "abort", "pause"} {
		status, text := browse(t, http.MethodPost, s.url+"/ui/rollout/r1/"+action, "all", nil, nil)
		must.EqOp(t, http.StatusSeeOther, status, must.Sprintf("%s: %s", action, text))
	}
	must.Eq(t, []string{"rollback r1  by alice", "abort r1  by alice", "pause r1  by alice"}, s.control.calls)
}

// TestPage_OfAFollower asks a server that does not lead.
func TestPage_OfAFollower(t *testing.T) {
	known := tokens{"all": {Name: "alice", Via: "jwt", Capabilities: api.Capabilities()}}
	leader := start(t, func(o *Options) { o.Auth = known })
	leader.store.put(api.Rollout{ID: "r1", Patch: "web-2", Status: api.RolloutRunning, Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}})
	follower := start(t, func(o *Options) { withPage(t, o); o.Auth = known })
	follower.node.leads, follower.node.leader = false, leader.url
	_, text := browse(t, http.MethodGet, follower.url+"/ui/rollouts", "all", nil, nil)
	must.StrContains(t, text, "web-2")
	status, _ := browse(t, http.MethodPost, follower.url+"/ui/rollout/r1/rollback", "all", url.Values{"note": {"slow"}}, nil)
	must.EqOp(t, http.StatusSeeOther, status)
	must.Eq(t, []string{"rollback r1 slow by alice"}, leader.control.calls)
	must.SliceEmpty(t, follower.control.calls)
}
