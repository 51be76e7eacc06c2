package sender

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// RequestMax is how long a request may take; one that takes longer failed.
	RequestMax = 5 * time.Second
	// bodyMax is how many bytes of an answer are read. The transfer of a large page is
	// part of its latency.
	bodyMax = 8 << 20
)

// Client asks one twin. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
	own  *http.Transport
}

// NewClient returns a client of a twin, whose address is the base's host. A nil transport
// means one of its own, which Close closes.
func NewClient(base *url.URL, transport http.RoundTripper) *Client {
	c := &Client{base: base}
	if transport == nil {
		c.own = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: RequestMax}).DialContext,
			MaxIdleConnsPerHost: 8,
			// A twin shows the certificate of its production name, at another
			// address.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		}
		transport = c.own
	}
	c.http = &http.Client{
		Transport: transport,
		Timeout:   RequestMax,
		// A redirect is an answer of the service and is measured as one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close closes connections that are kept.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// check makes the health check once.
func (c *Client) check(ctx context.Context, path string) error {
	status, err := c.Do(ctx, workload.Request{Method: http.MethodGet, Path: path})
	if err != nil {
		return err
	}
	if status < 200 || status > 299 {
		return fmt.Errorf("%s answers %d", path, status)
	}
	return nil
}

// ask sends one request of the workload and reads the whole answer. why says how it
// failed, if it did.
func (c *Client) ask(ctx context.Context, index int, r workload.Request) (answer twin.Answer, why string) {
	began := time.Now()
	answer.Request = index
	var err error
	answer.Status, err = c.Send(ctx, r)
	answer.Micros = time.Since(began).Microseconds()
	if err != nil {
		answer.Failed, why = true, r.String()+": "+err.Error()
	}
	return answer, why
}

// Send sends one request of a workload and reads the whole answer. It is an error when
// there is none, or another than the workload expects. The status is 0 without HTTP.
func (c *Client) Send(ctx context.Context, r workload.Request) (status int, err error) {
	if r.Kind == workload.TCP {
		return 0, c.exchange(ctx, r)
	}
	status, err = c.Do(ctx, r)
	if err == nil && !r.Expect.Accepts(status) {
		err = fmt.Errorf("status %d, and the workload expects %s", status, r.Expect)
	}
	return status, err
}

// Do sends an HTTP request and reads the whole answer, whatever its status is.
func (c *Client) Do(ctx context.Context, r workload.Request) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, c.base.Scheme+"://"+c.base.Host+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	for name, value := range r.Headers {
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // the request is named already
		}
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, bodyMax))
	if e := resp.Body.Close(); err == nil {
		err = e
	}
	return resp.StatusCode, err
}

// exchange opens a connection, sends what the request says, and reads as many bytes as
// the answer is to begin with.
func (c *Client) exchange(ctx context.Context, r workload.Request) error {
	ctx, cancel := context.WithTimeout(ctx, RequestMax)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.base.Host)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) }) // it wakes the reader
	defer stop()
	got := make([]byte, len(r.Answer))
	if _, err = conn.Write(r.Send); err == nil {
		_, err = io.ReadFull(conn, got)
	}
	if err == nil && !bytes.Equal(got, r.Answer) {
		err = fmt.Errorf("it answers %.40q, and the workload expects %.40q", got, r.Answer)
	}
	return errors.Join(err, conn.Close())
}
