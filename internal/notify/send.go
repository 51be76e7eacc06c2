package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/oakumhq/oakum/api"
)

const (
	// sendTimeout bounds one try.
	sendTimeout = 15 * time.Second
	// answerMax bounds what is read of an answer.
	answerMax = 64 << 10
)

// Sender delivers notices to one receiver.
type Sender interface {
	// Send returns when the receiver has taken the notice. Its error names no secret.
	Send(ctx context.Context, n api.Notice) error
}

// NewSender returns a sender by a URL. http and https get the notice as JSON by POST; other
// schemes are those of shoutrrr, such as slack, teams, smtp and pagerduty, and get a text.
// The error does not repeat the URL, which holds secrets.
func NewSender(address string) (Sender, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme == "":
		return nil, api.Errorf(api.CodeInvalid, "want a URL such as https://hooks.example/oakum or slack://TOKEN@CHANNEL")
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" {
			return nil, api.Errorf(api.CodeInvalid, "the URL names no host")
		}
		return webhook{u, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
	case u.Scheme == "logger":
		return nil, api.Errorf(api.CodeInvalid, "the service %q tells nobody", u.Scheme)
	}
	router, err := shoutrrr.NewSender(nil)
	if err != nil {
		return nil, fmt.Errorf("open the senders of notices: %w", err)
	}
	service, err := router.Locate(address)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "service %q: %s", u.Scheme, redact(err, u))
	}
	return chat{u, service, make(chan struct{}, 1)}, nil
}

// webhook posts notices as JSON.
type webhook struct {
	to     *url.URL
	client *http.Client
}

// Send implements Sender. Only an answer of 200 to 299 counts: a redirect is not followed,
// since it could lead the notice to somebody else.
func (w webhook) Send(ctx context.Context, n api.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.to.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New(redact(err, w.to))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "oakum")
	resp, err := w.client.Do(req)
	if err != nil {
		return errors.New(redact(err, w.to))
	}
	defer resp.Body.Close()                                          // it was only read
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerMax)) // so that the connection is used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", w.to.Host, resp.Status)
	}
	return nil
}

// chat sends notices by a service of shoutrrr.
type chat struct {
	to      *url.URL
	service types.Service
	trying  chan struct{} // full while a try goes on
}

// Send implements Sender. The library takes no context: a try that outlasts its time goes
// on by itself and counts as failed, and nothing else is tried before it has ended.
func (c chat) Send(ctx context.Context, n api.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	select {
	case c.trying <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s does not answer: a former try goes on: %w", c.to.Scheme, context.Cause(ctx))
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-c.trying }()
		params := types.Params{}
		params.SetTitle("Oakum: " + string(n.Kind))
		done <- c.service.Send(message(n), &params)
	}()
	select {
	case err := <-done:
		if err != nil {
			return errors.New(redact(err, c.to))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not answer: %w", c.to.Scheme, context.Cause(ctx))
	}
}

// secretMin is the length from which a part of a URL is taken for a secret: tokens are
// longer, and words such as "api" stay readable.
const secretMin = 5

// redact is an error's text without the parts of a URL that may be secret: all but its
// scheme, and the host of a webhook.
func redact(err error, u *url.URL) string {
	text := err.Error()
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		text = strings.ReplaceAll(text, urlError.URL, "the URL")
	}
	parts := []string{u.String(), u.User.String()}
	parts = append(parts, strings.FieldsFunc(u.EscapedPath(), func(r rune) bool { return r == '/' || r == ':' })...)
	parts = append(parts, strings.Split(u.Path, "/")...)
	if u.User != nil {
		password, _ := u.User.Password()
		parts = append(parts, u.User.Username(), password)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		parts = append(parts, u.Host, u.Hostname())
	}
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	slices.SortFunc(parts, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the longest first
	for _, part := range parts {
		if len(part) >= secretMin {
			text = strings.ReplaceAll(text, part, "…")
		}
	}
	return clean(text)
}
