package ui

import (
	"bytes"
	"net/http"
	"net/url"
)

// live tells a page that something of its topics has changed, as server-sent events. It
// passes the API's event stream on, without what the events say: the page asks for itself
// anew, with what its user may see.
func (u *UI) live(w http.ResponseWriter, r *http.Request) {
	ask := &asker{api: u.api, r: r, token: token(r)}
	req, err := ask.request(r.Context(), http.MethodGet, "/v1/event/stream", url.Values{"topic": r.URL.Query()["topic"]}, nil)
	if err == nil {
		err = serve(u.api, &changes{ResponseWriter: w}, req)
	}
	if err != nil {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection; the browser comes again
	}
}

// changes turns the lines of the event stream into server-sent events.
type changes struct {
	http.ResponseWriter
	header http.Header
	status int
}

// Header is not the one of the answer: that one says what this stream is.
func (c *changes) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// WriteHeader begins the answer.
func (c *changes) WriteHeader(status int) {
	if c.status != 0 || status < http.StatusOK {
		return
	}
	c.status = status
	if status == http.StatusOK {
		c.ResponseWriter.Header().Set("Content-Type", "text/event-stream")
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write sends one event for any number of lines. A stream that is only alive has {}.
func (c *changes) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	if c.status != http.StatusOK {
		return len(p), nil // the browser reads the status only
	}
	message := "event: changed\ndata: now\n\n"
	if len(bytes.Trim(p, "{} \n")) == 0 {
		message = ": alive\n\n"
	}
	if _, err := c.ResponseWriter.Write([]byte(message)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Unwrap lets http.ResponseController reach the connection.
func (c *changes) Unwrap() http.ResponseWriter { return c.ResponseWriter }
