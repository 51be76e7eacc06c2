package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oakumhq/oakum/api"
)

// The headers of requests and answers; package client has the same.
const (
	headerToken     = "X-Oakum-Token"
	headerIndex     = "X-Oakum-Index"
	headerNextToken = "X-Oakum-Next-Token"
	headerStale     = "X-Oakum-Stale"
	headerAuth      = "X-Oakum-Auth"
)

// call is one request on its way through a route.
type call struct {
	w  http.ResponseWriter
	r  *http.Request
	rt route
	by api.Identity

	audit  *API // records what the body is about
	record record
}

func (c *call) ctx() context.Context { return c.r.Context() }

// flag reports whether a query parameter without a value, or with true, is set.
func (c *call) flag(name string) bool {
	values, ok := c.r.URL.Query()[name]
	if !ok {
		return false
	}
	on, err := strconv.ParseBool(values[0])
	return values[0] == "" || (err == nil && on)
}

// serve wraps a route with everything that all routes share: where it is
// answered, who asks, what they may do, what happens on failure.
func (a *API) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		answer := &statusWriter{ResponseWriter: w}
		c := &call{w: answer, r: r, rt: rt, audit: a}
		defer func() {
			if cause := recover(); cause != nil {
				if cause == http.ErrAbortHandler { //nolint:errorlint // the documented sentinel is compared by identity
					panic(cause) //nolint:forbidigo // net/http's way to cut a connection
				}
				a.log.Error("handler panicked", "route", rt.path, "error", fmt.Sprint(cause), "stack", string(debug.Stack()))
				a.fail(c, answer, api.Errorf(api.CodeInternal, "the server met a fault of its own"))
			}
			a.answered(c, answer.code())
			a.metrics.observe(rt, answer.code(), time.Since(started))
		}()
		if a.forwards(rt, c) {
			a.forward.ServeHTTP(answer, r)
			return
		}
		if err := a.answer(rt, c); err != nil {
			a.fail(c, answer, err)
		}
	})
}

// answer performs the route on this server.
func (a *API) answer(rt route, c *call) error {
	if err := a.authorise(rt, c); err != nil {
		a.begin(rt, c)
		return err
	}
	if err := a.admitted(rt, c); err != nil {
		return err
	}
	give, err := a.shares.take(c.ctx(), c.by, rt.costly)
	if err != nil {
		return err
	}
	defer give()
	if err := a.catchUp(rt, c); err != nil {
		return err
	}
	if rt.method == http.MethodGet && !rt.local {
		if err := a.await(rt, c); err != nil {
			return err
		}
	}
	if rt.method != http.MethodGet && rt.cap != api.CapRead {
		a.log.Info("change requested", "route", rt.path, "method", rt.method, "path", c.r.URL.Path, "by", c.by.Name, "via", c.by.Via)
	}
	if rt.stream != nil {
		return rt.stream(c)
	}
	out, err := rt.handle(c)
	if err != nil {
		return err
	}
	c.made(out)
	if out == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// catchUp has a leader apply everything that former leaders confirmed, before it
// answers. On a follower it says in a header how old the answer may be.
func (a *API) catchUp(rt route, c *call) error {
	if rt.local {
		return nil
	}
	if rt.method != http.MethodGet || !c.flag("stale") {
		return a.opt.Cluster.CatchUp(c.ctx())
	}
	if !a.opt.Cluster.IsLeader() {
		c.w.Header().Set(headerStale, a.staleness(time.Now()))
	}
	return nil
}

// staleness is how old a follower's answer may be: the time since it last had
// contact with a leader.
func (a *API) staleness(now time.Time) string {
	if a.opt.LastContact == nil {
		return "unknown"
	}
	last := a.opt.LastContact()
	if last.IsZero() {
		return "unknown"
	}
	return max(now.Sub(last), 0).Round(time.Millisecond).String()
}

// fail answers with an error, or cuts the connection when an answer has begun.
func (a *API) fail(c *call, answer *statusWriter, err error) {
	if errors.Is(err, context.Canceled) && c.ctx().Err() != nil {
		return // the caller has gone
	}
	known := errorOf(err)
	if known.Code == api.CodeInternal {
		a.log.Error("request failed", "path", c.r.URL.Path, "error", err)
	}
	if answer.status != 0 {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
	}
	writeError(c.w, known)
}

// errorOf gives a context's end its code; AsError knows the rest.
func errorOf(err error) *api.Error {
	if errors.Is(err, context.DeadlineExceeded) && !api.IsCode(err, api.CodeTimeout) {
		return api.Errorf(api.CodeTimeout, "%v", err)
	}
	return api.AsError(err)
}

func writeError(w http.ResponseWriter, err *api.Error) { writeStatus(w, err.Code.HTTPStatus(), err) }

func writeStatus(w http.ResponseWriter, status int, err *api.Error) {
	if err.Code == api.CodeBusy {
		w.Header().Set("Retry-After", retryAfter)
	}
	if err.Code == api.CodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="oakum"`)
	}
	_ = writeJSON(w, status, err) // the caller has gone; there is nobody to report the error to
}

func writeJSON(w http.ResponseWriter, status int, out any) error {
	text, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the caller has gone; there is nobody to report the error to
	return nil
}

// Limits of a request's body. A policy carries a recorded workload of up to 4 MiB,
// whose quotes JSON escapes.
const (
	bodyMax     = 12 << 20
	bodyTimeout = 30 * time.Second // to send it
)

// body reads the body of a request, at most so many bytes of UTF-8.
func (c *call) body(most int64) ([]byte, error) {
	// The deadline is for reading only: one for the whole server would also cut off
	// blocking queries. Only the writers of tests have no deadlines.
	control := http.NewResponseController(c.w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, most))
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, api.Errorf(api.CodeInvalid, "request body: larger than %d MiB", tooBig.Limit>>20)
	}
	if err == nil && !utf8.Valid(body) {
		return nil, api.Errorf(api.CodeInvalid, "request body: not UTF-8, want JSON")
	}
	return body, err
}

// decode reads the JSON body into in. Unknown fields are errors: a misspelt
// field must not be ignored. So is what is no UTF-8: encoding/json would put
// other characters in its place, into a script for example.
func (c *call) decode(in any) error {
	body, err := c.body(bodyMax)
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err == nil {
		err = dec.Decode(in)
	}
	if err == nil && dec.More() {
		return api.Errorf(api.CodeInvalid, "request body: more than one JSON value")
	}
	c.audit.named(c, body, in)
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*api.Error](err); ok {
		return known
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return api.Errorf(api.CodeInvalid, "request body: field %s: want %s, not %s", wrong.Field, wrong.Type, wrong.Value)
	}
	if errors.Is(err, io.EOF) {
		return api.Errorf(api.CodeInvalid, "request body: empty, want a JSON object")
	}
	return api.Errorf(api.CodeInvalid, "request body: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// statusWriter remembers the status of an answer for the metrics, and passes
// everything else on.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the first final status.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implies an OK.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
