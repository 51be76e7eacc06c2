package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// pollEvery paces every wait; agents answer within a second, so a finer
	// look would only burn the CPU that they need to start.
	pollEvery = 50 * time.Millisecond
	// callTimeout bounds one request to an agent on loopback.
	callTimeout = 15 * time.Second
)

// endpoint is one agent's HTTP API as one caller sees it.
type endpoint struct {
	base   string // http://127.0.0.1:port
	header string // that carries the token
	token  string
}

// statusError is an answer other than 2xx.
type statusError struct {
	code int
	body string
}

// Error returns the status and what the agent said.
func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

func isStatus(err error, code int) bool {
	answer, ok := errors.AsType[*statusError](err)
	return ok && answer.code == code
}

// call sends in as JSON and reads the answer into out; both may be nil.
func (e endpoint) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("call %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, e.base+path, body)
	if err != nil {
		return fmt.Errorf("call %s %s: %w", method, path, err)
	}
	if e.token != "" {
		request.Header.Set(e.header, e.token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("call %s %s: %w", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("call %s %s: %w", method, path, err)
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("call %s %s: %w", method, e.base+path, &statusError{answer.StatusCode, strings.TrimSpace(string(text))})
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read answer of %s %s: %w", method, path, err)
	}
	return nil
}

// poll calls try until it returns nil or ctx ends, and then says why the last
// try did not do.
func poll(ctx context.Context, what string, try func(context.Context) error) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		last := try(ctx)
		if last == nil {
			return nil
		}
		if stop, ok := errors.AsType[*stopError](last); ok {
			return fmt.Errorf("wait for %s: %w", what, stop.error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}

// stopError ends a poll: waiting longer cannot help.
type stopError struct{ error }
