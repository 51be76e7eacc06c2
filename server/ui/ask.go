package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"

	"github.com/oakumhq/oakum/api"
)

// headerToken is the API's header of a caller's token.
const headerToken = "X-Oakum-Token" //nolint:gosec // the name of a header, and no token

// asker asks the API on behalf of one request of a browser.
type asker struct {
	api   http.Handler
	r     *http.Request // the browser's
	token string
	// stale says that an answer came from this server's replica, since nobody leads.
	stale bool
}

// get reads path into out. While nobody leads, this server's replica answers.
func (a *asker) get(path string, query url.Values, out any) error {
	answer, err := a.do(http.MethodGet, path, query, nil)
	if api.IsCode(err, api.CodeNoLeader) {
		late := url.Values{"stale": {""}}
		maps.Copy(late, query)
		answer, err = a.do(http.MethodGet, path, late, nil)
		a.stale = a.stale || err == nil
	}
	if err != nil {
		return err
	}
	return answer.decode(out)
}

// post sends in to path.
func (a *asker) post(path string, in any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	_, err = a.do(http.MethodPost, path, nil, bytes.NewReader(text))
	return err
}

// health is this server's own report. A server that is not ready gives one too.
func (a *asker) health() (out api.HealthReport, err error) {
	answer := &answer{}
	req, err := a.request(a.r.Context(), http.MethodGet, "/v1/health", nil, nil)
	if err == nil {
		err = serve(a.api, answer, req)
	}
	if err != nil {
		return out, err
	}
	return out, answer.decode(&out)
}

func (a *asker) do(method, path string, query url.Values, body io.Reader) (*answer, error) {
	req, err := a.request(a.r.Context(), method, path, query, body)
	if err != nil {
		return nil, err
	}
	answer := &answer{}
	if err := serve(a.api, answer, req); err != nil {
		return nil, err
	}
	return answer, answer.err()
}

// request is a request to the API. It comes from where the browser's came from, for the
// audit log and the check of the host.
func (a *asker) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.r.Host+path, body)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%s: %v", path, err)
	}
	req.URL.RawQuery = query.Encode()
	req.RemoteAddr, req.Host = a.r.RemoteAddr, a.r.Host
	if a.token != "" {
		req.Header.Set(headerToken, a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// serve has the API answer. The API cuts an answer that it can't finish.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cut, ok := cause.(error); !ok || !errors.Is(cut, http.ErrAbortHandler) {
			panic(cause) //nolint:forbidigo // a fault of the API is reported where it is met
		}
		err = api.Errorf(api.CodeUnavailable, "%s: the answer broke off", r.URL.Path)
	}()
	h.ServeHTTP(w, r)
	return nil
}

// answer is an answer of the API in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is the answer's header.
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// WriteHeader keeps the first final status.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write keeps what is written.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Flush does nothing: the answer is in memory.
func (a *answer) Flush() {}

// err is the error that the API answered with.
func (a *answer) err() error {
	if a.status < http.StatusBadRequest {
		return nil
	}
	var known api.Error
	if json.Unmarshal(a.body.Bytes(), &known) == nil && known.Code != "" {
		return &known
	}
	return api.Errorf(api.CodeInternal, "the server answered %d", a.status)
}

func (a *answer) decode(out any) error {
	if err := json.Unmarshal(a.body.Bytes(), out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}
