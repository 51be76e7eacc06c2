// Package client is the Go client of Oakum's HTTP API. It knows the wire and
// nothing else: every method is one request, every failure is an *api.Error
// with the code that the server sent.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// DefaultAddress is where an agent listens when nothing else is configured.
const DefaultAddress = "http://127.0.0.1:4740"

// The environment variables that FromEnv reads.
const (
	EnvAddress    = "OAKUM_ADDR"
	EnvToken      = "OAKUM_TOKEN"
	EnvCACert     = "OAKUM_CACERT"
	EnvClientCert = "OAKUM_CLIENT_CERT"
	EnvClientKey  = "OAKUM_CLIENT_KEY"
)

// Headers of requests and answers.
const (
	HeaderToken     = "X-Oakum-Token"
	HeaderIndex     = "X-Oakum-Index"
	HeaderNextToken = "X-Oakum-Next-Token"
	HeaderStale     = "X-Oakum-Stale"
	HeaderAuth      = "X-Oakum-Auth"
)

// answerMax bounds what an error answer is read up to: enough for every
// diagnostic of a file, little enough that a wrong server cannot fill memory.
const answerMax = 1 << 20

// Config says where the server is and who the caller is.
type Config struct {
	Address    string        // URL; DefaultAddress when empty
	Token      string        // identity token or Vault token
	CACert     string        // path of a PEM file that signs the server's certificate
	ClientCert string        // path of a PEM file
	ClientKey  string        // path of a PEM file
	Timeout    time.Duration // of one request that does not block; 30 s when zero
}

// FromEnv fills what c leaves empty from the OAKUM_ environment variables, read
// through getenv (os.Getenv when nil).
func (c Config) FromEnv(getenv func(string) string) Config {
	if getenv == nil {
		getenv = os.Getenv
	}
	c.Address = cmp.Or(c.Address, getenv(EnvAddress), DefaultAddress)
	c.Token = cmp.Or(c.Token, getenv(EnvToken))
	c.CACert = cmp.Or(c.CACert, getenv(EnvCACert))
	c.ClientCert = cmp.Or(c.ClientCert, getenv(EnvClientCert))
	c.ClientKey = cmp.Or(c.ClientKey, getenv(EnvClientKey))
	return c
}

// Client talks to one address. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	token   string
	timeout time.Duration
	http    *http.Client
}

// New checks the configuration and builds a client. It sends nothing.
func New(c Config) (*Client, error) {
	address := cmp.Or(c.Address, DefaultAddress)
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "address %q: %v", c.Address, err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, api.Errorf(api.CodeInvalid, "address %q: want http://host:port or https://host:port", c.Address)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	secure, err := tlsConfig(c)
	if err != nil {
		return nil, err
	}
	return &Client{
		base:    base,
		token:   c.Token,
		timeout: cmp.Or(c.Timeout, 30*time.Second),
		http: &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:       secure,
			TLSHandshakeTimeout:   5 * time.Second,
			ExpectContinueTimeout: time.Second,
			IdleConnTimeout:       90 * time.Second,
		}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, // the token is for this server
	}, nil
}

func tlsConfig(c Config) (*tls.Config, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACert != "" {
		pem, err := os.ReadFile(c.CACert)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read CA certificate: %v", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, api.Errorf(api.CodeInvalid, "read CA certificate: %s holds no PEM certificate", c.CACert)
		}
	}
	if c.ClientCert == "" && c.ClientKey == "" {
		return secure, nil
	}
	if c.ClientCert == "" || c.ClientKey == "" {
		return nil, api.Errorf(api.CodeInvalid, "client certificate and client key: give both or neither")
	}
	pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "read client certificate: %v", err)
	}
	secure.Certificates = []tls.Certificate{pair}
	return secure, nil
}

// Address is the URL that the client talks to.
func (c *Client) Address() string { return c.base.String() }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Query narrows a read. The zero value reads everything from the leader.
type Query struct {
	Index     uint64        // block until the answer is newer than this
	Wait      time.Duration // block at most this long
	Filter    string        // expression over the entries of a list
	PerPage   int           // entries per page; 0 means all
	NextToken string        // of the page before
	Stale     bool          // let any server answer from its own replica
	// Consistent makes the leader prove to itself that it still leads.
	Consistent bool
}

func (q Query) values() url.Values {
	v := url.Values{}
	set := func(key, value string, on bool) {
		if on {
			v.Set(key, value)
		}
	}
	set("index", strconv.FormatUint(q.Index, 10), q.Index > 0)
	set("wait", q.Wait.String(), q.Wait > 0)
	set("filter", q.Filter, q.Filter != "")
	set("per_page", strconv.Itoa(q.PerPage), q.PerPage > 0)
	set("next_token", q.NextToken, q.NextToken != "")
	set("stale", "", q.Stale)
	set("consistent", "", q.Consistent)
	return v
}

// Meta is what an answer says about itself.
type Meta struct {
	Index     uint64
	NextToken string
	Stale     bool          // a follower answered from its own replica
	Age       time.Duration // how old a stale answer may be; 0 when it is not known
	AuthOff   bool          // the server runs without authentication
}

func readMeta(h http.Header) Meta {
	index, _ := strconv.ParseUint(h.Get(HeaderIndex), 10, 64) // absent means zero
	age, _ := time.ParseDuration(h.Get(HeaderStale))          // absent or unknown means zero
	return Meta{
		Age:       age,
		Index:     index,
		NextToken: h.Get(HeaderNextToken),
		Stale:     h.Get(HeaderStale) != "",
		AuthOff:   h.Get(HeaderAuth) == "disabled",
	}
}

// get reads path into out.
func (c *Client) get(ctx context.Context, path string, q Query, out any) (Meta, error) {
	return c.getBy(ctx, path, q.values(), q.Wait, out)
}

// getBy does the same with parameters of the route's own.
func (c *Client) getBy(ctx context.Context, path string, values url.Values, wait time.Duration, out any) (Meta, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+wait)
	defer cancel()
	resp, err := c.send(ctx, http.MethodGet, path, values, nil)
	if err != nil {
		return Meta{}, err
	}
	return readAnswer(resp, out)
}

// change sends in and reads the answer into out, which may be nil.
func (c *Client) change(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, nil, body)
	if err != nil {
		return err
	}
	_, err = readAnswer(resp, out)
	return err
}

// send performs the request and turns an error status into an *api.Error. path
// is already escaped.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	resp, err := c.roundTrip(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, readError(resp)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		_ = resp.Body.Close() // nothing in it is read
		return nil, api.Errorf(api.CodeInvalid, "%s redirects to %q, and redirects are not followed: they would get the token; set the address of the server itself",
			c.base, resp.Header.Get("Location"))
	}
	return resp, nil
}

func (c *Client) roundTrip(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	target := c.base.String() + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "build request: %v", err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set(HeaderToken, c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return resp, nil
}

func (c *Client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return api.Errorf(api.CodeTimeout, "no answer from the agent at %s in time", c.Address())
	}
	// The URL in a *url.Error repeats what the message says already.
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err
	}
	return &api.Error{
		Code:    api.CodeUnavailable,
		Message: fmt.Sprintf("reach the agent at %s: %v", c.Address(), err),
		Details: []string{"is it running, and does " + EnvAddress + " or -address name it?"},
	}
}

func readError(resp *http.Response) error {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return api.Errorf(api.CodeUnavailable, "read answer: %v", err)
	}
	var known api.Error
	if json.Unmarshal(text, &known) == nil && known.Code != "" {
		return &known
	}
	return api.Errorf(codeOf(resp.StatusCode), "the server answered %s: %s",
		resp.Status, strings.TrimSpace(string(text[:min(len(text), 200)])))
}

// codeOf guesses the code when something other than Oakum answered.
func codeOf(status int) api.ErrorCode {
	for _, code := range []api.ErrorCode{
		api.CodeInvalid, api.CodeNotFound, api.CodeConflict, api.CodePermissionDenied,
		api.CodeUnauthenticated, api.CodeUnavailable, api.CodeTimeout,
	} {
		if code.HTTPStatus() == status {
			return code
		}
	}
	return api.CodeInternal
}

func readAnswer(resp *http.Response, out any) (Meta, error) {
	defer resp.Body.Close()
	meta := readMeta(resp.Header)
	if out == nil || resp.StatusCode == http.StatusNoContent {
		_, err := io.Copy(io.Discard, resp.Body)
		return meta, err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return meta, fmt.Errorf("decode answer: %w", err)
	}
	return meta, nil
}
