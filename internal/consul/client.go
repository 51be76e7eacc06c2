// Package consul is the only package that calls Consul. It reads what the mesh
// allows (intentions), what proxies declare (upstreams), what runs where
// (instances) and the results of health checks. It writes only the registration of
// this server. It decides nothing.
//
// When the token's rights cut an answer short, the answer's partial text says so.
// A graph made of such an answer is smaller than the truth.
package consul

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

const (
	// defaultTimeout bounds one call to Consul: long enough for a follower to
	// ask a busy leader, short enough that a dead agent shows within a round.
	defaultTimeout = 5 * time.Second
	// maxBody bounds one answer. 100,000 checks take about 60 MB of JSON.
	maxBody = 256 << 20
	// maxIdle keeps the connections of one scan open for the next.
	maxIdle = 8
)

// Config says where Consul is and which credentials the client uses.
type Config struct {
	Address    string        // host:port, or a URL with http or https
	Token      func() string // asked at each call, so that a renewed token is used at once; nil means none
	CACert     string        // file, optional
	ClientCert string        // file, optional, with ClientKey
	ClientKey  string        // file, optional
	ServerName string        // for TLS, optional
	Datacenter string        // empty means the agent's own
	Timeout    time.Duration // of one call; 0 means 5 s
}

// Client speaks to one Consul datacenter. It is safe for concurrent use.
type Client struct {
	api     *consulapi.Client
	dc      string
	timeout time.Duration

	scanning sync.Mutex
	catalog  *catalog           // what the last scan made of it, guarded by scanning
	scanned  map[string]scanned // by name of the service, the same

	making sync.Mutex
	made   struct { // the last mesh, guarded by making
		of      answers
		mesh    graph.Mesh
		unknown string
	}
}

// New returns a client. It does not call Consul. Of the environment it reads only
// the variables of the operating system's proxy settings.
func New(cfg Config) (*Client, error) {
	if cfg.Address == "" {
		return nil, api.Errorf(api.CodeInvalid, "open consul client: address is empty")
	}
	tlsConfig, err := tlsFiles(cfg)
	if err != nil {
		return nil, fmt.Errorf("open consul client: %w", err)
	}
	token := cfg.Token
	if token == nil {
		token = func() string { return "" }
	}
	next := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: time.Minute,
		DialContext: (&net.Dialer{Timeout: defaultTimeout}).DialContext, TLSHandshakeTimeout: defaultTimeout,
	}
	client, err := consulapi.NewClient(&consulapi.Config{
		Address: cfg.Address, Scheme: "http", HttpClient: &http.Client{Transport: &transport{next: next, token: token}},
	})
	if err != nil {
		return nil, fmt.Errorf("open consul client: %w", err)
	}
	c := &Client{api: client, dc: cfg.Datacenter, timeout: cfg.Timeout, scanned: make(map[string]scanned)}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	return c, nil
}

func tlsFiles(cfg Config) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg.CACert != "" {
		pem, err := os.ReadFile(cfg.CACert)
		if err != nil {
			return nil, fmt.Errorf("read CA certificate: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, api.Errorf(api.CodeInvalid, "read CA certificate: no certificate in %s", cfg.CACert)
		}
	}
	if cfg.ClientCert != "" || cfg.ClientKey != "" {
		pair, err := tls.LoadX509KeyPair(cfg.ClientCert, cfg.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// transport puts the present token on every request, also when the SDK found
// another one in the environment, and bounds every answer.
type transport struct {
	next  http.RoundTripper
	token func() string
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("X-Consul-Token")
	r.Header.Del("Authorization")
	if asked := r.URL.Query(); asked.Has("ns") || asked.Has("partition") {
		// The library takes them from CONSUL_NAMESPACE and CONSUL_PARTITION: no call here names one.
		asked.Del("ns")
		asked.Del("partition")
		r.URL.RawQuery = asked.Encode()
	}
	if token := t.token(); token != "" {
		r.Header.Set("X-Consul-Token", token)
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{Reader: io.LimitReader(resp.Body, maxBody), Closer: resp.Body}
	return resp, nil
}

type boundedBody struct {
	io.Reader
	io.Closer
}

// query returns read options that end with ctx or with the call's own timeout.
// Reads are consistent. A stale read could be answered by a server that has just
// started and has not replayed its log yet; its answer would be empty.
func (c *Client) query(ctx context.Context) (*consulapi.QueryOptions, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	q := &consulapi.QueryOptions{Datacenter: c.dc, RequireConsistent: true}
	return q.WithContext(ctx), cancel
}

// explain turns an error of Consul's API into an api.Error.
func explain(doing string, err error) error {
	code := api.CodeUnavailable
	if status, ok := errors.AsType[consulapi.StatusError](err); ok {
		switch status.Code {
		case http.StatusNotFound:
			code = api.CodeNotFound
		case http.StatusForbidden, http.StatusUnauthorized:
			code = api.CodePermissionDenied
		case http.StatusBadRequest:
			code = api.CodeInvalid
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		code = api.CodeTimeout
	}
	return api.Errorf(code, "consul: %s: %v", doing, err)
}

// filtered says that the token hides part of an answer, or is empty.
func filtered(what string, metas ...*consulapi.QueryMeta) string {
	for _, meta := range metas {
		if meta != nil && meta.ResultsFilteredByACLs {
			return "consul hides some " + what + " from this token"
		}
	}
	return ""
}
