package ui

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/figure"
)

// frame is what the layout of all pages shows around one.
type frame struct {
	Title   string
	Nav     string
	Body    any
	Scripts []string
	Error   *api.Error
	Self    *api.AgentSelf // nil where nobody is known
	Health  api.HealthReport
	Live    string // address of the stream of changes; "" for a page that does not change
	Stale   bool
	Again   string // address to ask for once more
	Now     time.Time
}

// readPages reads every template with the layout.
func readPages(files assets) (map[string]*template.Template, error) {
	root, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(root, "*.html")
	if err != nil {
		return nil, err
	}
	layout, err := template.New("layout.html").Funcs(functions(files)).ParseFS(root, "layout.html", "parts.html")
	if err != nil {
		return nil, err
	}
	out := map[string]*template.Template{}
	for _, name := range names {
		if name == "layout.html" || name == "parts.html" {
			continue
		}
		page, err := layout.Clone()
		if err == nil {
			page, err = page.ParseFS(root, name)
		}
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(name, path.Ext(name))] = page
	}
	return out, nil
}

// functions are what templates may call.
func functions(files assets) template.FuncMap {
	return template.FuncMap{
		"asset":     files.url,
		"age":       age,
		"span":      figure.Span,
		"between":   func(a, b time.Time) string { return figure.Span(b.Sub(a)) },
		"stamp":     figure.Stamp,
		"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"amount":    figure.Amount,
		"evidence":  evidence,
		"plain":     plain,
		"printable": printable,
		"written":   written,
		"count":     figure.Count,
		"short":     func(id string) string { return id[:min(len(id), 8)] },
		"words":     func(v any) string { return strings.ReplaceAll(fmt.Sprint(v), "_", " ") },
		"inc":       func(n int) int { return n + 1 },
		"join":      strings.Join,
		"seg":       url.PathEscape,
		"at":        at,
		"mark":      markOf,
		"nav":       entryOf,
	}
}

// age is how long ago t was, in seconds at least: a page is older than that when it is read.
func age(now, t time.Time) string {
	if t.IsZero() {
		return figure.Age(now, t)
	}
	if d := now.Sub(t); d >= time.Second {
		return figure.Span(d)
	}
	return "0s"
}

// plain writes a number without an exponent where it has more than three digits.
func plain(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// evidence says how far a KPI's evidence is from what is needed, both as powers of ten.
func evidence(has, needed float64) string {
	switch {
	case has >= needed:
		return fmt.Sprintf("enough: 10^%.1f is needed", needed)
	case has <= 0:
		return fmt.Sprintf("none of 10^%.1f", needed)
	}
	return fmt.Sprintf("10^%.1f of 10^%.1f", has, needed)
}

// entry is an entry of the navigation.
type entry struct {
	Path, Name string
	On         bool
}

func entryOf(f frame, path, name string) entry { return entry{path, name, f.Nav == path} }

// marked is an item of a list with what a part of a template needs beside it.
type marked struct {
	Item any
	Now  time.Time
}

func at(item any, now time.Time) marked { return marked{item, now} }

// markOf is the colour that a word for a state has: good, bad, wait, busy or none.
func markOf(state any) string {
	switch fmt.Sprint(state) {
	case "complete", "passed", "pass", "promote", "done", "healthy", "whole", "fixed", "serves", "not_affected", "confirmed":
		return "good"
	case "rolled_back", "rejected", "reject", "failed", "abort", "unhealthy", "away", "rolling_back", "fails", "affected", "observed_denied":
		return "bad"
	case "holding", "awaiting_approval", "paused", "inconclusive", "failing", "partial", "unread", "unknown", "excepted", "observed_undeclared", "declared_stale", "denied_attempted":
		return "wait"
	case "running", "simulating", "continue", "intended":
		return "busy"
	}
	return "none"
}

// render answers with a page, whole or not at all.
func (u *UI) render(w http.ResponseWriter, r *http.Request, status int, page string, f frame) {
	var text bytes.Buffer
	t, ok := u.pages[page]
	if !ok {
		http.Error(w, "the page has no template", http.StatusInternalServerError)
		u.log.Error("page has no template", "page", page)
		return
	}
	if err := t.ExecuteTemplate(&text, "layout.html", f); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		u.log.Error("render page", "page", page, "error", err)
		return
	}
	send(w, r, status, "text/html; charset=utf-8", text.Bytes())
}

// give answers a script of a page with JSON.
func (u *UI) give(w http.ResponseWriter, r *http.Request, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	send(w, r, http.StatusOK, "application/json", text)
}

// send answers with a text, packed where the browser unpacks it. When the browser has gone,
// there is nobody to report an error to.
func send(w http.ResponseWriter, r *http.Request, status int, kind string, text []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Vary", "Accept-Encoding, Cookie")
	if !takesGzip(r) {
		w.WriteHeader(status)
		_, _ = w.Write(text)
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	packed := gzip.NewWriter(w)
	_, _ = packed.Write(text)
	_ = packed.Close()
}
