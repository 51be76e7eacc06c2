// Package nomad is the client for Nomad. Only this package and its sub-package
// sandbox call Nomad. It reads targets, instances and allocation statistics, and
// it carries out the effects of a rollout. An effect that changes a job registers
// the job with a compare-and-set on its modify index, so an effect may be
// repeated. The package does not decide whether or when an effect happens.
package nomad

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// CallTimeout bounds one call to Nomad: long enough for a follower to forward
// to a busy leader, short enough that a dead server becomes a hold within a
// few ticks.
const CallTimeout = 10 * time.Second

// maxIdle is how many connections stay open. A plan makes twice as many dry runs
// at once as a look makes calls.
const maxIdle = 16

// Config says where Nomad is and which credentials the client uses.
type Config struct {
	Address string
	Token   func() string // asked at each call, so that a renewed token is used at once; nil means none
	CACert  string        // file, optional
	Rack    string        // key of a node's meta that holds its rack; "" means rack
}

// Client speaks to one Nomad region. It is safe for concurrent use.
type Client struct {
	api      *nomadapi.Client
	token    func() string
	rackMeta string
	jobs     jobs
	layout   layout
	nodes    nodes
}

// New returns a client. It does not call Nomad.
func New(cfg Config) (*Client, error) {
	conf := &nomadapi.Config{Address: cfg.Address, TLSConfig: &nomadapi.TLSConfig{CACert: cfg.CACert}}
	if !strings.HasPrefix(cfg.Address, "unix:") { // Nomad's client has one of its own for that
		client, err := pooled(conf.TLSConfig)
		if err != nil {
			return nil, fmt.Errorf("open nomad client: %w", err)
		}
		conf.HttpClient = client
	}
	c, err := nomadapi.NewClient(conf)
	if err != nil {
		return nil, fmt.Errorf("open nomad client: %w", err)
	}
	token := cfg.Token
	if token == nil {
		token = func() string { return "" }
	}
	return &Client{
		api: c, token: token, rackMeta: cmp.Or(cfg.Rack, defaultRack), jobs: jobs{turn: newTurn()}, layout: layout{turn: newTurn()}, nodes: nodes{turn: newTurn()},
	}, nil
}

// pooled returns an HTTP client that keeps as many connections as are used at
// once. The default client of Nomad's library keeps one more than there are
// processors, so most calls of a look would open a connection of their own.
func pooled(files *nomadapi.TLSConfig) (*http.Client, error) {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: time.Minute,
		DialContext:         (&net.Dialer{Timeout: CallTimeout, KeepAlive: CallTimeout}).DialContext,
		TLSHandshakeTimeout: CallTimeout, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	client := &http.Client{Transport: transport}
	return client, nomadapi.ConfigureTLS(client, files)
}

// API is the client of Nomad's own library. The sandbox uses it for calls that
// only the sandbox makes.
func (c *Client) API() *nomadapi.Client { return c.api }

// Query returns read options for a namespace ("*" for all) that end with ctx.
func (c *Client) Query(ctx context.Context, namespace string) *nomadapi.QueryOptions {
	q := &nomadapi.QueryOptions{Namespace: namespace, AuthToken: c.token()}
	return q.WithContext(ctx)
}

// Write returns write options for a namespace that end with ctx.
func (c *Client) Write(ctx context.Context, namespace string) *nomadapi.WriteOptions {
	w := &nomadapi.WriteOptions{Namespace: namespace, AuthToken: c.token()}
	return w.WithContext(ctx)
}

// status is the HTTP status of an answer that is an error; 0 when there was none.
func status(err error) int {
	if answer, ok := errors.AsType[nomadapi.UnexpectedResponseError](err); ok {
		return answer.StatusCode()
	}
	return 0
}

// Explain turns an error of the Nomad API into an api.Error. A failed
// compare-and-set has no code of its own in Nomad, so Explain recognises it by its
// text.
func Explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	code := api.CodeUnavailable
	switch status(err) {
	case http.StatusNotFound:
		code = api.CodeNotFound
	case http.StatusForbidden:
		code = api.CodePermissionDenied
	case http.StatusBadRequest:
		code = api.CodeInvalid
	}
	if strings.Contains(text, "job modify index") {
		code = api.CodeConflict
	}
	if errors.Is(err, context.DeadlineExceeded) {
		code = api.CodeTimeout
	}
	return &api.Error{Code: code, Message: fmt.Sprintf("%s: nomad: %s", doing, text)}
}
