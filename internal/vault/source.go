package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Via says how an identity token of Vault is exchanged for a token of another
// system.
type Via struct {
	Address    string // URL of Nomad or Consul
	AuthMethod string // that takes the identity token
	OIDCRole   string // of Vault, that makes it
	HTTP       *http.Client
}

// identifier makes identity tokens.
type identifier interface {
	IdentityToken(ctx context.Context, role string) (string, error)
}

var _ identifier = (*Client)(nil)

// sourceLifetime is assumed for a token that does not say when it expires.
const sourceLifetime = time.Hour

// Source holds a valid token of Nomad or Consul.
type Source struct {
	from   identifier
	via    Via
	system system
	log    *slog.Logger

	mu    sync.Mutex
	token string
	ends  time.Time
	// former is the token before the present one. Requests that are under way may
	// still use it, so it is destroyed one renewal later.
	former string
}

// system holds the differences between the logins of Nomad and Consul.
type system struct {
	name       string
	methodKey  string // of the request
	tokenKey   string
	logoutPath string // empty: tokens only expire
	header     string // that carries a token
}

func nomadSystem() system {
	return system{name: "nomad", methodKey: "AuthMethodName", tokenKey: "LoginToken", header: "X-Nomad-Token"}
}

func consulSystem() system {
	return system{
		name: "consul", methodKey: "AuthMethod", tokenKey: "BearerToken", header: "X-Consul-Token",
		logoutPath: "/v1/acl/logout",
	}
}

// NomadToken returns a source of Nomad tokens.
func (c *Client) NomadToken(via Via) *Source { return newSource(c, via, nomadSystem(), c.log) }

// ConsulToken returns a source of Consul tokens.
func (c *Client) ConsulToken(via Via) *Source { return newSource(c, via, consulSystem(), c.log) }

func newSource(from identifier, via Via, s system, log *slog.Logger) *Source {
	if via.HTTP == nil {
		via.HTTP = &http.Client{Timeout: requestTimeout}
	}
	via.Address = strings.TrimSuffix(via.Address, "/")
	return &Source{from: from, via: via, system: s, log: log}
}

// Token returns the present token, empty before the first login.
func (s *Source) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// Login gets a fresh token.
func (s *Source) Login(ctx context.Context) error {
	identity, err := s.from.IdentityToken(ctx, s.via.OIDCRole)
	if err != nil {
		return fmt.Errorf("log in to %s: %w", s.system.name, err)
	}
	body, err := json.Marshal(map[string]string{s.system.methodKey: s.via.AuthMethod, s.system.tokenKey: identity})
	if err != nil {
		return fmt.Errorf("log in to %s: %w", s.system.name, err)
	}
	var answer struct {
		SecretID       string
		ExpirationTime *time.Time
	}
	if err := s.send(ctx, http.MethodPost, "/v1/acl/login", "", body, &answer); err != nil {
		return fmt.Errorf("log in to %s: %w", s.system.name, err)
	}
	if answer.SecretID == "" {
		return fmt.Errorf("log in to %s: the answer holds no token", s.system.name)
	}
	ends := time.Now().Add(sourceLifetime)
	if answer.ExpirationTime != nil && !answer.ExpirationTime.IsZero() {
		ends = *answer.ExpirationTime
	}
	s.mu.Lock()
	old := s.former
	s.former, s.token, s.ends = s.token, answer.SecretID, ends
	s.mu.Unlock()
	s.giveBack(ctx, old)
	return nil
}

// Run keeps the token valid until ctx ends, and then destroys it. While Vault or
// the system does not answer, it tries again. It returns nil.
func (s *Source) Run(ctx context.Context) error {
	defer s.close(ctx)
	pace := backoff{}
	wait := s.untilRenewal()
	for pause(ctx, wait) == nil {
		if err := s.Login(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			wait = pace.next()
			s.log.Warn("token is not renewed", "system", s.system.name, "error", err, "retry_in", wait)
			continue
		}
		pace.reset()
		wait = s.untilRenewal()
		s.log.Debug("token renewed", "system", s.system.name, "next_in", wait)
	}
	return nil
}

func (s *Source) untilRenewal() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == "" {
		return 0
	}
	return untilRenewal(max(time.Until(s.ends), lifetimeMin))
}

// close destroys the tokens. ctx has ended, so close has a short time of its own.
func (s *Source) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s.mu.Lock()
	token, former := s.token, s.former
	s.token, s.former = "", ""
	s.mu.Unlock()
	s.giveBack(ctx, former)
	s.giveBack(ctx, token)
}

// giveBack destroys a token that is not used any more. A token that can't be
// destroyed expires by itself.
func (s *Source) giveBack(ctx context.Context, token string) {
	if token == "" || s.system.logoutPath == "" {
		return
	}
	if err := s.send(ctx, http.MethodPost, s.system.logoutPath, token, nil, nil); err != nil {
		s.log.Debug("token not given back", "system", s.system.name, "error", err)
	}
}

// answerMax bounds what is read of an answer.
const answerMax = 1 << 20

func (s *Source) send(ctx context.Context, method, path, token string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.via.Address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set(s.system.header, token)
	}
	resp, err := s.via.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d: %s", s.system.name, resp.StatusCode, strings.TrimSpace(string(text[:min(len(text), 200)])))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return errors.New(s.system.name + " answered no JSON")
	}
	return nil
}
