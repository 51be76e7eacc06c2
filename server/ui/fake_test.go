package ui_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/ui"
)

// began is when everything in the model of the API began.
var began = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// backend is a model of the API: answers by path, and what was asked for.
type backend struct {
	mu      sync.Mutex
	answers map[string]any
	errs    map[string]*api.Error
	tokens  []string // that are known; none: authentication is off
	caps    []api.Capability
	posted  []string // path and body of each change
	asked   []string // paths
	from    []string // remote addresses of the requests
}

func newBackend() *backend {
	return &backend{
		tokens: []string{"alice-token"}, caps: api.Capabilities(), errs: map[string]*api.Error{},
		answers: map[string]any{
			"/v1/health":                      api.HealthReport{Live: true, Ready: true, Server: "a", Leader: "a:4741", Sources: []api.SourceStatus{{Name: "nomad", OK: true}}},
			"/v1/rollouts":                    []api.Rollout{open("r1")},
			"/v1/rollout/r1":                  open("r1"),
			"/v1/patches":                     []api.Patch{{Name: "web-2", Severity: api.SeverityHigh, SubmittedAt: began}},
			"/v1/brake":                       api.Brake{},
			"/v1/plugins":                     []api.PluginInfo{{Name: "phased", Builtin: true, Healthy: true}},
			"/v1/operator/raft/configuration": []api.ServerInfo{{ID: "a", Leader: true, Voter: true, Address: "a:4741"}},
		},
	}
}

// open is a rollout at its first stage, which is being judged.
func open(id string) api.Rollout {
	before := 0.001
	return api.Rollout{
		ID: id, Plan: "p1", Patch: "web-2", Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}, Wave: 1,
		Status: api.RolloutRunning, Reason: "stage 1 is being judged", Since: began, Created: began, SubmittedBy: "pipeline",
		Apply:  []api.Apply{{Kind: api.ApplyJob, Task: "server", Env: map[string]string{"SHOP_VERSION": "2.0"}, Config: map[string]any{"image": "web:2"}}},
		Former: &api.FormerJob{Version: 7, Count: 10},
		Decision: api.Decision{
			Critical: true, Strategy: api.StrategySpec{Name: "phased", Config: json.RawMessage(`{"stages":[10,50,100]}`)},
			Judge:    api.JudgeSpec{Enabled: true, Miss: 0.05, KPIs: []api.KPISpec{{KPI: "error_rate", AbortAbove: 1.1, PromoteBelow: 2}}},
			Rollback: api.RollbackSpec{Quarantine: true},
			Because:  []api.Because{{Field: "strategy", Policy: "web-tier", Range: "web.hcl:3,5", Reason: "target.critical is true"}},
		},
		Stages: []api.Stage{{Number: 1, Percent: 10, Instances: 1, Began: began, Ready: began.Add(time.Minute)}},
		Instances: []api.Instance{
			{ID: "11111111-1", Name: "web[0]", Node: "aaaaaaaa-1", Build: api.BuildPatched, Health: api.Healthy},
			{ID: "22222222-2", Name: "web[1]", Node: "bbbbbbbb-2", Build: api.BuildFormer, Health: api.Unhealthy, Because: "check <http> fails"},
		},
		Verdict: &api.Verdict{Kind: api.VerdictContinue, At: began.Add(2 * time.Minute), Looks: 4, Reason: "not enough is known", KPIs: []api.KPIEffect{{
			KPI: "error_rate", Kind: api.VerdictContinue, Stable: 0.001, Canary: 0.002, Unit: "ratio", Ratio: 2, Low: 0.5, High: 4, Evidence: 0.4, Needed: 2.5, Promote: 0.9, Before: &before,
		}}},
	}
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.from = append(b.asked, r.URL.Path), append(b.from, r.RemoteAddr)
	give := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	refuse := func(e *api.Error) { give(e.Code.HTTPStatus(), e) }
	known := len(b.tokens) == 0 || slices.Contains(b.tokens, r.Header.Get("X-Oakum-Token"))
	switch e := b.errs[r.URL.Path]; {
	case r.URL.Path == "/v1/health":
		give(http.StatusOK, b.answers[r.URL.Path])
	case !known:
		refuse(api.Errorf(api.CodeUnauthenticated, "who are you?"))
	case e != nil && (e.Code != api.CodeNoLeader || !r.URL.Query().Has("stale")):
		refuse(e)
	case r.URL.Path == "/v1/agent/self":
		give(http.StatusOK, api.AgentSelf{Server: "a", Version: "test", AuthOff: len(b.tokens) == 0,
			Identity: api.Identity{Name: "alice", Via: "jwt", Capabilities: b.caps}})
	case r.URL.Path == "/v1/event/stream":
		_, _ = io.WriteString(w, "{}\n")
		_, _ = io.WriteString(w, `{"index":4,"text":"secret"}`+"\n")
	case r.Method == http.MethodPost:
		text, _ := io.ReadAll(r.Body)
		b.posted = append(b.posted, r.URL.Path+" "+string(text))
		give(http.StatusOK, struct{}{})
	case b.answers[r.URL.Path] == nil:
		refuse(api.Errorf(api.CodeNotFound, "%s is not there", r.URL.Path))
	default:
		give(http.StatusOK, b.answers[r.URL.Path])
	}
}

// browser asks the page as a browser does, without following redirects.
type browser struct {
	t       *testing.T
	url     string
	cookies []*http.Cookie
	header  http.Header
}

func visit(t *testing.T, b *backend) *browser {
	t.Helper()
	of, err := ui.New(nil)
	must.NoError(t, err)
	web := httptest.NewServer(of(b))
	t.Cleanup(web.Close)
	return &browser{t: t, url: web.URL, header: http.Header{}}
}

// in is a browser of alice's, who is logged in.
func in(t *testing.T, b *backend) *browser {
	t.Helper()
	out := visit(t, b)
	out.cookies = []*http.Cookie{{Name: "oakum", Value: "alice-token"}}
	return out
}

type page struct {
	status int
	header http.Header
	text   string
}

func (b *browser) do(req *http.Request) page {
	b.t.Helper()
	for _, c := range b.cookies {
		req.AddCookie(c)
	}
	maps.Copy(req.Header, b.header)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	must.NoError(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must.NoError(b.t, err)
	return page{resp.StatusCode, resp.Header, string(text)}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, nil)
	must.NoError(b.t, err)
	return b.do(req)
}

// post sends a form from a page of the server itself, but for what header says.
func (b *browser) post(path string, form url.Values) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(form.Encode()))
	must.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.url)
	return b.do(req)
}
