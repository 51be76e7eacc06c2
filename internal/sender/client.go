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
	// requestMax is how long a request may take; one that takes longer failed.
	requestMax = 5 * time.Second
	// bodyMax is how many bytes of an answer are read. The transfer of a large page is
	// part of its latency.
	bodyMax = 8 << 20
)

// client asks one twin.
type client struct {
	base *url.URL
	http *http.Client
	own  *http.Transport
}

func newClient(base *url.URL, transport http.RoundTripper) *client {
	c := &client{base: base}
	if transport == nil {
		c.own = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: requestMax}).DialContext,
			MaxIdleConnsPerHost: 8,
			// A twin shows the certificate of its production name, at another
			// address.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		}
		transport = c.own
	}
	c.http = &http.Client{
		Transport: transport,
		Timeout:   requestMax,
		// A redirect is an answer of the service and is measured as one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

func (c *client) close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// check makes the health check once.
func (c *client) check(ctx context.Context, path string) error {
	status, err := c.do(ctx, workload.Request{Method: http.MethodGet, Path: path})
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
func (c *client) ask(ctx context.Context, index int, r workload.Request) (answer twin.Answer, why string) {
	began := time.Now()
	answer.Request = index
	var err error
	if r.Kind == workload.TCP {
		err = c.exchange(ctx, r)
	} else {
		answer.Status, err = c.do(ctx, r)
		if err == nil && !r.Expect.Accepts(answer.Status) {
			err = fmt.Errorf("status %d, and the workload expects %s", answer.Status, r.Expect)
		}
	}
	answer.Micros = time.Since(began).Microseconds()
	if err != nil {
		answer.Failed, why = true, r.String()+": "+err.Error()
	}
	return answer, why
}

// do sends an HTTP request.
func (c *client) do(ctx context.Context, r workload.Request) (status int, err error) {
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
func (c *client) exchange(ctx context.Context, r workload.Request) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
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
