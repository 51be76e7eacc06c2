package ui

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/oakumhq/oakum/api"
)

// UI is the web page of one server.
type UI struct {
	api   http.Handler
	log   *slog.Logger
	mux   *http.ServeMux
	files assets
	pages map[string]*template.Template
}

var _ http.Handler = (*UI)(nil)

// New reads what the page is made of, and returns what makes the page of a server from its
// API. The API has checked the host that a browser asks, and where it comes from, before it
// passes a request on to the page.
func New(log *slog.Logger) (func(backend http.Handler) http.Handler, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	files, err := readAssets()
	if err != nil {
		return nil, fmt.Errorf("read the page's files: %w", err)
	}
	pages, err := readPages(files)
	if err != nil {
		return nil, fmt.Errorf("read the page's templates: %w", err)
	}
	return func(backend http.Handler) http.Handler {
		u := &UI{api: backend, log: log, mux: http.NewServeMux(), files: files, pages: pages}
		u.mount()
		return u
	}, nil
}

func (u *UI) mount() {
	u.mux.Handle("GET /ui/static/{file...}", u.files)
	u.mux.HandleFunc("GET /ui/login", u.loginForm)
	u.mux.HandleFunc("POST /ui/login", u.logIn)
	u.mux.HandleFunc("POST /ui/logout", u.logOut)
	u.mux.HandleFunc("GET /ui/live", u.live)
	u.mux.Handle("GET /ui/{$}", http.RedirectHandler(home, http.StatusSeeOther))
	for _, p := range u.routes() {
		u.mux.HandleFunc(p.method+" "+p.path, u.serve(p))
	}
	u.mux.HandleFunc("/ui/", func(w http.ResponseWriter, r *http.Request) {
		u.fail(w, r, api.Errorf(api.CodeNotFound, "%s: there is no such page", r.URL.Path))
	})
}

// route is one page, or one change that a form of a page asks for.
type route struct {
	method, path string
	topics       []api.Topic // of the API's event stream: a change of one makes the page stale
	handle       func(*visit) (screen, error)
	// bare pages are made for whom the API could not say who they are, too; visit.unmet
	// says why.
	bare bool
}

// screen is what a page shows, or where to go instead.
type screen struct {
	page    string // template
	title   string
	nav     string // entry of the navigation that it belongs to
	body    any
	scripts []string
	status  int   // 0 is OK
	err     error // shown on top of the page
	goTo    string
	data    any // for a script of the page, in place of one
}

// visit is one request of a browser whose user is known.
type visit struct {
	r    *http.Request
	ask  *asker
	self api.AgentSelf
	// unmet is why it is not known who the user is.
	unmet error
	now   time.Time
}

// meet asks whom the API takes the user for.
func (v *visit) meet() error { return v.ask.get("/v1/agent/self", nil, &v.self) }

// query is a parameter of the page's address.
func (v *visit) query(name string) string { return v.r.URL.Query().Get(name) }

func (u *UI) routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	rollout := []api.Topic{api.TopicRollout, api.TopicEffect, api.TopicBrake}
	graph := []api.Topic{api.TopicGraph, api.TopicRollout}
	return []route{
		{method: get, path: "/ui/rollouts", topics: rollout, handle: rollouts},
		{method: get, path: "/ui/rollout/{id}", topics: rollout, handle: rolloutPage},
		{method: get, path: "/ui/rollout/{id}/{action}", handle: confirmPage, bare: true},
		{method: post, path: "/ui/rollout/{id}/{action}", handle: act},
		{method: get, path: "/ui/simulations", topics: []api.Topic{api.TopicSimulation}, handle: simulations},
		{method: get, path: "/ui/simulation/{id}", topics: []api.Topic{api.TopicSimulation}, handle: simulationPage},
		{method: get, path: "/ui/simulation/{id}/console", handle: consolePage},
		{method: get, path: "/ui/simulation/{id}/cancel", handle: cancelPage},
		{method: post, path: "/ui/simulation/{id}/cancel", handle: cancelSimulation},
		{method: get, path: "/ui/policies", topics: []api.Topic{api.TopicPolicy}, handle: policies},
		{method: get, path: "/ui/policy/{name}", topics: []api.Topic{api.TopicPolicy, api.TopicRollout}, handle: policyPage},
		{method: get, path: "/ui/fleet", topics: append(graph, api.TopicQuarantine), handle: fleet},
		{method: get, path: "/ui/graph", topics: graph, handle: graphView},
		{method: get, path: "/ui/graph/data", handle: graphData},
		{method: get, path: "/ui/cluster", topics: []api.Topic{api.TopicBrake, api.TopicGraph}, handle: cluster},
		{method: get, path: "/ui/brake", handle: brakePage},
		{method: post, path: "/ui/brake", handle: setBrake},
	}
}

// ServeHTTP answers a browser.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodPost {
		r.Body = http.NoBody // net/http would read a form with files from it, into memory and onto the disk
	} else if err := readForm(w, r); err != nil {
		u.fail(w, r, err)
		return
	}
	u.mux.ServeHTTP(w, r)
}

// Limits of a form: a token, or a remark of the length that the API takes.
const (
	formMax     = 32 << 10         // bytes
	formTimeout = 10 * time.Second // to send it: anybody may send one to the login
)

// readForm reads the form of a request, and nothing that is no form.
func readForm(w http.ResponseWriter, r *http.Request) error {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(formTimeout)); err == nil { // else it is a writer of a test's
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	r.Body = http.MaxBytesReader(w, r.Body, formMax)
	err := r.ParseForm()
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return err
	case err != nil:
		return api.Errorf(api.CodeInvalid, "read the form: %v", err)
	}
	r.Body = http.NoBody
	return nil
}

// policy lets a page load what this server has and run no script that stands in a page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// serve wraps a page with what all pages share: who asks, and what goes wrong.
func (u *UI) serve(p route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if fromElsewhere(r) {
			u.render(w, r, http.StatusOK, "again", frame{Title: "Oakum", Again: r.URL.RequestURI()})
			return
		}
		v := &visit{r: r, ask: &asker{api: u.api, r: r, token: token(r)}, now: time.Now()}
		if p.method == http.MethodPost {
			if err := own(r); err != nil {
				u.fail(w, r, err)
				return
			}
		}
		var err error
		if p.method == http.MethodGet { // a change needs no answer of a read: it must go when none can be recorded
			v.unmet = v.meet()
			if !p.bare || api.IsCode(v.unmet, api.CodeUnauthenticated) {
				err = v.unmet
			}
		}
		var shown screen
		if err == nil {
			shown, err = p.handle(v)
		}
		switch {
		case err != nil:
			u.unknown(w, r, err)
		case shown.data != nil:
			u.give(w, r, shown.data)
		case shown.goTo != "":
			http.Redirect(w, r, shown.goTo, http.StatusSeeOther)
		default:
			u.show(w, v, p, shown)
		}
	}
}

// show renders a page, with what stands on top of all pages.
func (u *UI) show(w http.ResponseWriter, v *visit, p route, shown screen) {
	health, err := v.ask.health()
	if err != nil {
		u.fail(w, v.r, err)
		return
	}
	f := frame{
		Title: shown.title, Nav: shown.nav, Body: shown.body, Scripts: shown.scripts, Error: known(shown.err),
		Health: health, Stale: v.ask.stale, Now: v.now,
	}
	if v.unmet == nil {
		f.Self = &v.self
	}
	if len(p.topics) > 0 && v.unmet == nil {
		f.Live = "/ui/live?" + url.Values{"topic": words(p.topics)}.Encode()
	}
	u.render(w, v.r, max(shown.status, http.StatusOK), shown.page, f)
}

func words(topics []api.Topic) []string {
	out := make([]string, len(topics))
	for i, t := range topics {
		out[i] = string(t)
	}
	return out
}

// unknown sends whom the API does not know to the login, and tells others what went wrong.
func (u *UI) unknown(w http.ResponseWriter, r *http.Request, err error) {
	if !api.IsCode(err, api.CodeUnauthenticated) {
		u.fail(w, r, err)
		return
	}
	back := r.URL.RequestURI()
	if r.Method != http.MethodGet {
		back = home
	}
	http.Redirect(w, r, "/ui/login?"+url.Values{"next": {back}}.Encode(), http.StatusSeeOther)
}

func (u *UI) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the browser has gone
	}
	e := known(err)
	if e.Code == api.CodeInternal {
		u.log.Error("page failed", "path", r.URL.Path, "error", err)
	}
	u.render(w, r, e.Code.HTTPStatus(), "error", frame{Title: "Not shown", Error: e})
}

// known is an error with its code; nil for none.
func known(err error) *api.Error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*http.MaxBytesError)):
		return api.Errorf(api.CodeInvalid, "the form is larger than %d KiB", formMax>>10)
	}
	return api.AsError(err)
}
