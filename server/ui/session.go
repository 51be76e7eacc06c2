package ui

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// The cookie of a session holds the token that its user pasted. A browser gives a cookie
// with the prefix only back to the host that set it, over TLS.
const (
	cookieSecure   = "__Host-oakum"
	cookieLoopback = "oakum"
)

// tokenMax bounds a token, in bytes: browsers keep cookies of 4 KiB, with name and attributes.
const tokenMax = 3800

// token is the token of the browser's session, "" without one. Of another name than this
// server sets for the host, a cookie may be from a site beside it, or from whoever answers
// for that site in clear: its session would be theirs.
func token(r *http.Request) string {
	c, err := r.Cookie(cookieOf(r))
	if err != nil {
		return ""
	}
	return c.Value
}

func cookieOf(r *http.Request) string {
	if loopback(r) {
		return cookieLoopback
	}
	return cookieSecure
}

// loopback reports whether the browser runs where the server does, by the host that it
// asked: what is sent there leaves no machine.
func loopback(r *http.Request) bool {
	host := (&url.URL{Host: r.Host}).Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// session is the cookie of a token. An empty token ends the session.
func session(r *http.Request, token string) *http.Cookie {
	c := &http.Cookie{
		Name: cookieOf(r), Value: token, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	}
	if loopback(r) {
		c.Secure = r.TLS != nil
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// checkToken refuses what can't be a token, or can't be kept in a cookie.
func checkToken(token string) error {
	switch {
	case token == "":
		return api.Errorf(api.CodeInvalid, "token: paste one; it is empty")
	case len(token) > tokenMax:
		return api.Errorf(api.CodeInvalid, "token: it has %d bytes, and a browser keeps %d at most; take one with fewer claims", len(token), tokenMax)
	case strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`",;\`, c) }):
		return api.Errorf(api.CodeInvalid, "token: it has characters that no token has; paste it without quotes and line breaks")
	}
	return nil
}

// own refuses a change that no page of this server asked for. Browsers say where a form
// comes from; what does not say so is refused too, since a page needs a browser.
func own(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		if site == "same-origin" {
			return nil
		}
		return api.Errorf(api.CodePermissionDenied, "refuse a change from another site (%s)", site)
	}
	from, err := url.Parse(r.Header.Get("Origin"))
	if err == nil && from.Host != "" && strings.EqualFold(from.Host, r.Host) {
		return nil
	}
	return api.Errorf(api.CodePermissionDenied, "refuse a change that no page of this server sent: it has neither Sec-Fetch-Site nor Origin")
}

// inClear reports whether the browser would send a token over a network that others read.
func inClear(r *http.Request) bool {
	from, err := url.Parse(r.Header.Get("Origin"))
	return !loopback(r) && r.TLS == nil && (err != nil || from.Scheme != "https")
}

// home is the page that a session begins at.
const home = "/ui/rollouts"

// next is where to go after the login: a page of this server and nothing else.
func next(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/ui/") || strings.Contains(text, `\`) {
		return home
	}
	return u.RequestURI()
}

// loginPage is what the login says.
type loginPage struct{ Next string }

func (u *UI) loginForm(w http.ResponseWriter, r *http.Request) {
	u.login(w, r, http.StatusOK, nil)
}

func (u *UI) login(w http.ResponseWriter, r *http.Request, status int, err error) {
	f := frame{Title: "Log in", Error: known(err), Body: loginPage{Next: next(cmp.Or(r.PostForm.Get("next"), r.URL.Query().Get("next")))}}
	u.render(w, r, status, "login", f)
}

func (u *UI) logIn(w http.ResponseWriter, r *http.Request) {
	err := own(r)
	given := strings.TrimSpace(r.PostForm.Get("token"))
	if err == nil && inClear(r) {
		err = api.Errorf(api.CodePermissionDenied, "a token would cross the network in clear: configure tls, or ask through an SSH tunnel as localhost")
	}
	if err == nil {
		err = checkToken(given)
	}
	if err == nil {
		err = (&asker{api: u.api, r: r, token: given}).get("/v1/agent/self", nil, &api.AgentSelf{})
	}
	if err != nil {
		u.login(w, r, cmp.Or(known(err).Code, api.CodeInternal).HTTPStatus(), err)
		return
	}
	http.SetCookie(w, session(r, given))
	http.Redirect(w, r, next(r.PostForm.Get("next")), http.StatusSeeOther)
}

func (u *UI) logOut(w http.ResponseWriter, r *http.Request) {
	if err := own(r); err != nil {
		u.fail(w, r, err)
		return
	}
	http.SetCookie(w, session(r, ""))
	http.Redirect(w, r, "/ui/login", http.StatusSeeOther)
}

// fromElsewhere reports whether a link on another site led here. The browser keeps the
// session's cookie back then, and gives it when the page asks for itself once more.
func fromElsewhere(r *http.Request) bool {
	return token(r) == "" && r.Method == http.MethodGet &&
		r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}
