package simulator

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// requestMax is how long a request may take; one that takes longer failed.
	requestMax = 5 * time.Second
	// bodyMax is how many bytes of an answer are read. The transfer of a large
	// page is part of its latency.
	bodyMax = 8 << 20
)

// newTarget prepares a twin for requests. Each twin has connections of its own.
func newTarget(m twin.Machine, transport http.RoundTripper) *target {
	t := &target{scheme: m.Scheme, path: m.Path}
	if transport == nil {
		t.own = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: requestMax}).DialContext,
			MaxIdleConnsPerHost: 8,
			// A twin shows the certificate of its production name, at another
			// address. The requests carry no secret.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		}
		transport = t.own
	}
	t.client = &http.Client{
		Transport: transport,
		Timeout:   requestMax,
		// A redirect is an answer of the service and is measured as one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t
}

func (t *target) close() {
	if t.own != nil {
		t.own.CloseIdleConnections()
	}
}

// check makes the target's own health check once.
func (t *target) check(ctx context.Context, address string) error {
	t.address = address
	status, err := t.ask(ctx, t.path)
	if err != nil {
		return err
	}
	if t.scheme != "" && (status < 200 || status > 299) {
		return fmt.Errorf("%s answers %d", t.path, status)
	}
	return nil
}

// ask sends one request and reads the whole answer. Without HTTP it opens a
// connection and closes it.
func (t *target) ask(ctx context.Context, path string) (status int, err error) {
	if t.scheme == "" {
		ctx, cancel := context.WithTimeout(ctx, requestMax)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.address)
		if err != nil {
			return 0, err
		}
		return 0, conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.scheme+"://"+t.address+path, nil)
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, bodyMax))
	if e := resp.Body.Close(); err == nil {
		err = e
	}
	return resp.StatusCode, err
}
