// Package nomad serves the parts of Nomad's HTTP API that internal/nomad uses from
// a fleet in memory, and the sandbox that answers for the twins which run there.
package nomad

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-bexpr"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
)

const (
	// waitDefault and waitMost are how long a blocking query of Nomad's stays open
	// when nothing happens.
	waitDefault = 5 * time.Minute
	waitMost    = 10 * time.Minute
	// nomadVersion is that of the Nomad that the model was held against.
	nomadVersion = "1.11.3"
	region       = "global"
	// providerNomad of a service is Nomad's own catalog.
	providerNomad = "nomad"
)

// Door serves Nomad's HTTP API from a model. It asks nobody for a token.
type Door struct {
	door.Health
	handler http.Handler
	model   *door.Model
	sandbox *Sandbox
	mux     *http.ServeMux
	// namespaces that people made, beside default; guarded by the model.
	namespaces map[string]*namespace
}

// New makes the door. The sandbox answers for what runs on nodes.
func New(m *door.Model, s *Sandbox) *Door {
	n := &Door{model: m, sandbox: s, mux: http.NewServeMux(), namespaces: map[string]*namespace{
		"default": {Name: "default", Description: "Default shared namespace"},
	}}
	n.routes()
	n.handler = n.WithFault(n.Led(n.mux))
	return n
}

// ServeHTTP implements http.Handler.
func (n *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { n.handler.ServeHTTP(w, r) }

func (n *Door) routes() {
	n.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for _, routes := range []map[string]any{n.jobRoutes(), n.deploymentRoutes(), n.allocRoutes(), n.nodeRoutes(), n.otherRoutes()} {
		for path, h := range routes {
			switch h := h.(type) {
			case reader:
				n.mux.Handle("GET "+path, n.read(h))
			case writer:
				n.mux.Handle(path, n.write(h))
			case http.HandlerFunc:
				n.mux.Handle(path, h)
			}
		}
	}
}

// reader answers a question with the index of the newest change that concerns
// it. It is called with the model's lock held.
type reader func(f *fleet.Fleet, q *question) (any, uint64, error)

// writer changes something. It is called with the model's lock held.
type writer func(f *fleet.Fleet, q *question) (any, error)

// question is a request.
type question struct {
	r         *http.Request
	namespace string // * for all of them
	index     uint64
	wait      time.Duration
}

func (q *question) path(name string) string  { return q.r.PathValue(name) }
func (q *question) query(name string) string { return q.r.URL.Query().Get(name) }

func (q *question) flag(name string) bool {
	on, err := strconv.ParseBool(q.query(name))
	return on && err == nil
}

// job is the job that the path names.
func (q *question) job() fleet.JobID { return fleet.JobID{Namespace: q.namespace, ID: q.path("job")} }

// sees reports whether the question is about a namespace.
func (q *question) sees(namespace string) bool {
	return q.namespace == "*" || q.namespace == namespace
}

// body decodes a request's body.
func (q *question) body(into any) error {
	if err := json.NewDecoder(q.r.Body).Decode(into); err != nil {
		return answer(http.StatusBadRequest, "%v", err)
	}
	return nil
}

// httpError is an answer other than 200.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

func answer(status int, format string, args ...any) error {
	return &httpError{status, fmt.Sprintf(format, args...)}
}

// ask reads a request's parameters.
func ask(r *http.Request) (*question, error) {
	q := &question{r: r, namespace: cmp.Or(r.URL.Query().Get("namespace"), "default"), wait: waitDefault}
	if text := q.query("wait"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, answer(http.StatusBadRequest, "Invalid wait time")
		}
		q.wait = min(d, waitMost)
	}
	if text := q.query("index"); text != "" {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, answer(http.StatusBadRequest, "Invalid index")
		}
		q.index = index
	}
	return q, nil
}

// read serves a question; with an index it waits until the answer is newer.
func (n *Door) read(h reader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := ask(r)
		if err != nil {
			fail(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), q.wait)
		defer cancel()
		for {
			var out any
			var index, all uint64
			n.model.View(func(f *fleet.Fleet) {
				out, index, err = h(f, q)
				all = f.Index()
			})
			if err == nil && q.index > 0 && index <= q.index && n.model.Wait(ctx, all) == nil {
				continue
			}
			if err != nil {
				fail(w, err)
				return
			}
			w.Header().Set("X-Nomad-Index", strconv.FormatUint(max(1, index), 10))
			silent := n.Fault().Stale
			w.Header().Set("X-Nomad-Lastcontact", strconv.FormatInt(silent.Milliseconds(), 10))
			w.Header().Set("X-Nomad-Knownleader", strconv.FormatBool(silent == 0))
			n.reply(w, q, out)
			return
		}
	})
}

// write serves a change.
func (n *Door) write(h writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := ask(r)
		if err != nil {
			fail(w, err)
			return
		}
		var out any
		var index uint64
		n.model.Update(func(f *fleet.Fleet) {
			out, err = h(f, q)
			index = f.Index()
		})
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("X-Nomad-Index", strconv.FormatUint(index, 10))
		n.reply(w, q, out)
	})
}

// reply writes an answer: of a list, the part that was asked for.
func (n *Door) reply(w http.ResponseWriter, q *question, out any) {
	if out == nil {
		return
	}
	out, err := filtered(out, q.query("filter"))
	if err == nil {
		out, err = paged(w, q, out)
	}
	if err != nil {
		fail(w, err)
		return
	}
	door.Reply(w, out)
}

// filtered is the part of a list that a filter selects.
func filtered(out any, filter string) (any, error) {
	if filter == "" || reflect.TypeOf(out).Kind() != reflect.Slice {
		return out, nil
	}
	f, err := bexpr.CreateFilter(filter)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "failed to create boolean expression evaluator: ")
		return nil, answer(http.StatusBadRequest, "failed to create result paginator: failed to read filter expression: %s", text)
	}
	out, err = f.Execute(out)
	if err != nil {
		return nil, answer(http.StatusBadRequest, "failed to read filter expression: %v", err)
	}
	return out, nil
}

// paged is a page of a list. The token of the next one is the number of its first
// element: what changes between two pages may be seen twice or not at all.
func paged(w http.ResponseWriter, q *question, out any) (any, error) {
	size, err := strconv.Atoi(cmp.Or(q.query("per_page"), "0"))
	if err != nil {
		return nil, answer(http.StatusBadRequest, "Invalid per_page")
	}
	list := reflect.ValueOf(out)
	if size <= 0 || list.Kind() != reflect.Slice {
		return out, nil
	}
	first, err := strconv.Atoi(cmp.Or(q.query("next_token"), "0"))
	if err != nil || first < 0 {
		return nil, answer(http.StatusBadRequest, "invalid next token")
	}
	first = min(first, list.Len())
	last := min(first+size, list.Len())
	if last < list.Len() {
		w.Header().Set("X-Nomad-Nexttoken", strconv.Itoa(last))
	}
	return list.Slice(first, last).Interface(), nil
}

// fail writes an error as Nomad does: its text, and 500 for most of them.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if own, ok := errors.AsType[*httpError](err); ok {
		status = own.status
	} else if known, ok := errors.AsType[*api.Error](err); ok && known.Code == api.CodeNotFound {
		status = http.StatusNotFound
	}
	text := err.Error()
	if known, ok := errors.AsType[*api.Error](err); ok {
		text = known.Message
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // whoever asked has gone
}
