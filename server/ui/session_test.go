package ui_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/ui"
)

func TestPages_AskForALogin(t *testing.T) {
	b := newBackend()
	for path, back := range map[string]string{
		"/ui/rollouts?show=all": "/ui/login?next=%2Fui%2Frollouts%3Fshow%3Dall",
		"/ui/rollout/r1":        "/ui/login?next=%2Fui%2Frollout%2Fr1",
		"/ui/cluster":           "/ui/login?next=%2Fui%2Fcluster",
	} {
		for _, cookie := range []string{"", "wrong"} {
			stranger := visit(t, b)
			stranger.cookies = []*http.Cookie{{Name: "oakum", Value: cookie}}
			p := stranger.get(path)
			must.EqOp(t, http.StatusSeeOther, p.status)
			must.EqOp(t, back, p.header.Get("Location"))
			must.StrNotContains(t, p.text, "web-2")
		}
	}
	stranger := visit(t, b)
	must.EqOp(t, http.StatusSeeOther, stranger.post("/ui/rollout/r1/abort", nil).status)
	must.SliceEmpty(t, b.posted)
	must.EqOp(t, http.StatusUnauthorized, stranger.get("/ui/live?topic=rollout").status)
}

func TestLogin_KeepsTheTokenWhereNoScriptReadsIt(t *testing.T) {
	b := visit(t, newBackend())
	p := b.post("/ui/login", url.Values{"token": {" alice-token\n"}, "next": {"/ui/cluster?x=1"}})
	must.EqOp(t, http.StatusSeeOther, p.status)
	must.EqOp(t, "/ui/cluster?x=1", p.header.Get("Location"))
	must.EqOp(t, "oakum=alice-token; Path=/; HttpOnly; SameSite=Strict", p.header.Get("Set-Cookie"))

	p = b.post("/ui/logout", nil)
	must.EqOp(t, "oakum=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", p.header.Get("Set-Cookie"))
}

func TestLogin_RefusesWithAReason(t *testing.T) {
	for name, tc := range map[string]struct {
		token, want string
		status      int
	}{
		"none":        {"", "token: paste one", 400},
		"wrong":       {"bob-token", "who are you?", 401},
		"quoted":      {`"alice-token"`, "characters that no token has", 400},
		"two lines":   {"alice\ntoken", "characters that no token has", 400},
		"too long":    {strings.Repeat("a", 3801), "a browser keeps 3800 at most", 400},
		"a long form": {strings.Repeat("a", 40<<10), "the form is larger than 32 KiB", 400},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit(t, newBackend()).post("/ui/login", url.Values{"token": {tc.token}})
			must.EqOp(t, tc.status, p.status)
			must.StrContains(t, p.text, tc.want)
			must.EqOp(t, "", p.header.Get("Set-Cookie"))
		})
	}
}

func TestLogin_LeadsToPagesOfThisServerOnly(t *testing.T) {
	for next, want := range map[string]string{
		"/ui/rollout/r1":           "/ui/rollout/r1",
		"":                         "/ui/rollouts",
		"https://elsewhere/ui/":    "/ui/rollouts",
		"//elsewhere/ui/":          "/ui/rollouts",
		`/\elsewhere/ui/`:          "/ui/rollouts",
		`/ui/\elsewhere`:           "/ui/rollouts",
		"javascript:alert(1)":      "/ui/rollouts",
		"/v1/rollouts":             "/ui/rollouts",
		"/ui/graph?service=a%2Fb":  "/ui/graph?service=a%2Fb",
		"/ui/%0d%0aSet-Cookie:%20": "/ui/%0d%0aSet-Cookie:%20",
	} {
		p := visit(t, newBackend()).post("/ui/login", url.Values{"token": {"alice-token"}, "next": {next}})
		must.EqOp(t, want, p.header.Get("Location"), must.Sprintf("next %q", next))
	}
}

// TestSession_IsOfTheCookieThatThisServerSets: a site beside the server, or whoever answers
// for one in clear, may set a cookie of a plain name for its host.
func TestSession_IsOfTheCookieThatThisServerSets(t *testing.T) {
	for name, tc := range map[string]struct {
		host, cookie string
		status       int
	}{
		"here":                 {"", "oakum", http.StatusOK},
		"elsewhere":            {"oakum.example:4740", "__Host-oakum", http.StatusOK},
		"somebody else's":      {"oakum.example:4740", "oakum", http.StatusSeeOther},
		"of a session by name": {"127.0.0.1:4740", "__Host-oakum", http.StatusSeeOther},
	} {
		b := visit(t, newBackend())
		b.cookies = []*http.Cookie{{Name: tc.cookie, Value: "alice-token"}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/ui/rollouts", nil)
		must.NoError(t, err)
		req.Host = tc.host
		must.EqOp(t, tc.status, b.do(req).status, must.Sprint(name))
	}
}

// endless is a form with a file that has no end.
type endless struct {
	head io.Reader
	read atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.head.Read(p)
	if n == 0 {
		n, err = len(p), nil
	}
	e.read.Add(int64(n))
	if e.read.Load() > 64<<20 {
		return n, io.EOF
	}
	return n, err
}

// TestForms_OfStrangersStayOffTheDisk sends files to pages that anybody may ask for.
func TestForms_OfStrangersStayOffTheDisk(t *testing.T) {
	of, err := ui.New(nil)
	must.NoError(t, err)
	page := of(newBackend())
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		body := &endless{head: strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"next\"; filename=\"a\"\r\n\r\n")}
		r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/ui/login", body)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		page.ServeHTTP(httptest.NewRecorder(), r)
		must.LessEq(t, 64<<10, body.read.Load(), must.Sprint(method))
		must.Nil(t, r.MultipartForm)
	}
}

// TestLogin_OffTheLoopback sends forms as from a machine elsewhere, to a server behind a
// proxy that speaks TLS, and to one in clear.
func TestLogin_OffTheLoopback(t *testing.T) {
	send := func(origin string) page {
		b := visit(t, newBackend())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/ui/login", strings.NewReader("token=alice-token"))
		must.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		req.Host = "oakum.example:4740"
		return b.do(req)
	}
	p := send("https://oakum.example:4740")
	must.EqOp(t, "__Host-oakum=alice-token; Path=/; HttpOnly; Secure; SameSite=Strict", p.header.Get("Set-Cookie"))
	p = send("http://oakum.example:4740")
	must.EqOp(t, http.StatusForbidden, p.status)
	must.StrContains(t, p.text, "a token would cross the network in clear")
	must.EqOp(t, "", p.header.Get("Set-Cookie"))
}

func TestChanges_OfOtherSitesAreRefused(t *testing.T) {
	for name, header := range map[string]http.Header{
		"another site":           {"Sec-Fetch-Site": {"cross-site"}},
		"another port":           {"Sec-Fetch-Site": {"same-site"}},
		"another origin":         {"Origin": {"https://elsewhere.example"}},
		"an opaque origin":       {"Origin": {"null"}},
		"nobody says":            {"Origin": {""}},
		"an address typed":       {"Sec-Fetch-Site": {"none"}},
		"site against an origin": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"http://127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend()
			alice := in(t, b)
			alice.header = header
			for _, path := range []string{"/ui/rollout/r1/rollback", "/ui/brake", "/ui/logout", "/ui/login"} {
				p := alice.post(path, url.Values{"on": {"true"}, "reason": {"x"}, "token": {"alice-token"}})
				must.EqOp(t, http.StatusForbidden, p.status, must.Sprint(path))
				must.EqOp(t, "", p.header.Get("Set-Cookie"))
			}
			must.SliceEmpty(t, b.posted)
		})
	}
}

// TestLinks_OfOtherSitesWork has a browser keep the cookie back, as it does for a link in
// a chat, and ask once more.
func TestLinks_OfOtherSitesWork(t *testing.T) {
	b := visit(t, newBackend())
	b.header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}
	p := b.get("/ui/rollout/r1?x=1")
	must.EqOp(t, http.StatusOK, p.status)
	must.StrContains(t, p.text, `http-equiv="refresh" content="0; url=/ui/rollout/r1?x=1"`)
	must.StrNotContains(t, p.text, "web-2")
}

func TestDev_NeedsNoLoginAndSaysSo(t *testing.T) {
	b := newBackend()
	b.tokens = nil
	p := visit(t, b).get("/ui/rollouts")
	must.EqOp(t, http.StatusOK, p.status)
	must.StrContains(t, p.text, "authentication is off")
}

func TestPages_CarryTheirPolicy(t *testing.T) {
	b := newBackend()
	b.errs["/v1/rollouts"] = api.Errorf(api.CodePermissionDenied, "you lack read <b>")
	for path, status := range map[string]int{
		"/ui/login": 200, "/ui/cluster": 200, "/ui/rollout/r1": 200, "/ui/rollouts": 403, "/ui/nothing": 404, "/ui/rollout/r1/explode": 404, "/ui/rollout/none": 404,
	} {
		p := in(t, b).get(path)
		must.EqOp(t, status, p.status, must.Sprint(path))
		must.StrContains(t, p.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';")
		must.StrNotContains(t, p.header.Get("Content-Security-Policy"), "unsafe")
		must.StrNotContains(t, p.text, " style=")
		must.StrNotContains(t, p.text, " onclick=")
		must.StrNotContains(t, p.text, "<b>\n")
		must.StrNotContains(t, p.text, "alice-token")
	}
	must.StrContains(t, in(t, b).get("/ui/rollouts").text, "you lack read &lt;b&gt;")
}
