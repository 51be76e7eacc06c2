// Package daemon runs Oakum's own binary beside a stack: one server or three,
// as processes that can be killed and started again, and its command line as a
// person would type it.
package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/process"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/wait"
)

// httpPort and raftPort are those of the first server; the next ones follow.
const (
	httpPort = 4740
	raftPort = 4780
)

// AnyPorts as Options.PortOffset lets Start choose free ports.
const AnyPorts = -1

// Options say what to run.
type Options struct {
	Binary     string
	Dir        string
	Servers    int    // 1 or 3
	PortOffset int    // of the stack, or AnyPorts
	Extra      string // HCL that is added to every server's configuration
	Issuer     string // URL of an issuer that callers prove themselves to; "" means the stack's Vault
	// Rewrite, when set, is given each configuration and returns the one to use.
	Rewrite func(config string) string
}

// Cluster is a set of servers beside one stack.
type Cluster struct {
	Options
	Env     stack.Env
	Servers []*Server
}

// Server is one process.
type Server struct {
	*process.Process

	Name   string
	HTTP   string // URL of its API
	raft   string
	config string
	binary string
}

// ports are where one server listens.
type ports struct{ http, raft int }

// ports chooses where the servers listen.
func (o Options) ports() ([]ports, error) {
	var out []ports
	for i := range o.Servers {
		if o.PortOffset != AnyPorts {
			out = append(out, ports{httpPort + i + o.PortOffset, raftPort + i + o.PortOffset})
			continue
		}
		var p ports
		for _, to := range []*int{&p.http, &p.raft} {
			listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // an address is bound at once or not at all
			if err != nil {
				return nil, fmt.Errorf("find a free port: %w", err)
			}
			defer listener.Close() //nolint:errcheck // the server listens there next; until all are found it is kept
			*to = listener.Addr().(*net.TCPAddr).Port
		}
		out = append(out, p)
	}
	return out, nil
}

// Start writes the configurations, starts every server and waits for a leader.
func Start(ctx context.Context, env stack.Env, o Options) (*Cluster, error) {
	c := &Cluster{Options: o, Env: env}
	at, err := o.ports()
	if err != nil {
		return nil, err
	}
	var joins []string
	for _, p := range at {
		joins = append(joins, fmt.Sprintf("%q", fmt.Sprintf("127.0.0.1:%d", p.raft)))
	}
	for i, p := range at {
		name := fmt.Sprintf("oakum-%d", i+1)
		dir := filepath.Join(o.Dir, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make server folder: %w", err)
		}
		s := &Server{
			Name: name, HTTP: fmt.Sprintf("http://127.0.0.1:%d", p.http), raft: fmt.Sprintf("127.0.0.1:%d", p.raft),
			config: filepath.Join(dir, "oakum.hcl"), binary: o.Binary, Process: process.New(filepath.Join(dir, "oakum.log")),
		}
		text := c.configuration(name, filepath.Join(dir, "data"), p, joins)
		if o.Rewrite != nil {
			text = o.Rewrite(text)
		}
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
		c.Servers = append(c.Servers, s)
	}
	for _, s := range c.Servers {
		if err := s.Start(); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	if _, err := c.Leader(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// configuration is what an operator would write for this stack.
func (c *Cluster) configuration(name, data string, at ports, joins []string) string {
	identity := proofByVault(c.Env)
	if c.Issuer != "" {
		identity = proofByIssuer(c.Issuer)
	}
	return fmt.Sprintf(`name     = %q
data_dir = %q

addresses {
  http = "127.0.0.1:%d"
  raft = "127.0.0.1:%d"
}
server {
  bootstrap_expect = %d
  retry_join       = [%s]
}

nomad { address = %q }
consul { address = %q }
prometheus {
  address         = %q
  scrape_interval = "5s"
}
%s
  audience = %q
  rule "pipelines" {
    when         = contains(claims.groups, "deployers")
    capabilities = ["read", "patch-submit", "simulate", "policy-write"]
  }
  rule "release managers" {
    when         = contains(claims.groups, "release-managers")
    capabilities = ["read", "approve", "rollout-control", "operator", "policy-write", "simulate"]
  }
}

intervals {
  profiler   = "2s"
  checkpoint = "10s"
}
%s
`, name, data, at.http, at.raft, len(joins), strings.Join(joins, ", "),
		c.Env.NomadAddr, c.Env.ConsulAddr, c.Env.PrometheusAddr, identity, c.Env.OIDCAudience, c.Extra)
}

// proofByVault has Vault give the server its tokens and its certificate, and
// sign who callers are. The auth block is left open for the rules.
func proofByVault(env stack.Env) string {
	return fmt.Sprintf(`
vault {
  address        = %q
  role_id_file   = %q
  secret_id_file = %q
  nomad {
    auth_method = %q
    oidc_role   = %q
  }
  consul {
    auth_method = %q
    oidc_role   = %q
  }
}

tls {
  vault {
    mount = %q
    role  = %q
    ttl   = "1h"
  }
}

auth {`, env.VaultAddr, env.OakumRoleIDFile, env.OakumSecretIDFile, env.NomadAuthMethod, env.NomadOIDCRole,
		env.ConsulAuthMethod, env.ConsulOIDCRole, env.PKIPath, env.PKIRole)
}

// proofByIssuer has callers prove who they are with an issuer's tokens, and the
// servers speak in the clear. The auth block is left open for the rules.
func proofByIssuer(url string) string {
	return fmt.Sprintf(`
tls { insecure = true }

auth {
  issuer   = %q
  jwks_url = %q`, url, url+"/.well-known/keys")
}

// Start runs the process; its log is appended to.
func (s *Server) Start() error {
	return s.Launch([]string{s.binary, "agent", "-config=" + s.config}, nil)
}

// Raft is the address between the servers.
func (s *Server) Raft() string { return s.raft }

// Stop ends every server.
func (c *Cluster) Stop() error {
	for _, s := range c.Servers {
		s.Terminate()
	}
	return nil
}

// Leader waits until the servers agree on a leader that lives, and returns it.
func (c *Cluster) Leader(ctx context.Context) (*Server, error) {
	var leader *Server
	err := wait.Until(ctx, wait.Patience, func() bool {
		i := slices.IndexFunc(c.Servers, func(s *Server) bool { return s.Running() && s.leads(ctx) })
		if i >= 0 {
			leader = c.Servers[i]
		}
		return leader != nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for a leader: %w; the log of %s ends:\n%s", err, c.Servers[0].Name, c.Servers[0].Tail(30))
	}
	return leader, nil
}

// health is what a server says of itself.
type health struct {
	Ready  bool   `json:"ready"`
	Leader string `json:"leader"` // its address between servers
}

// leads asks a server whether it is the leader and ready.
func (s *Server) leads(ctx context.Context) bool {
	report, ok := s.health(ctx)
	return ok && report.Ready && report.Leader == s.raft
}

// Answers reports whether the server's API is open and knows a leader.
func (s *Server) Answers(ctx context.Context) bool {
	report, ok := s.health(ctx)
	return ok && report.Ready
}

func (s *Server) health(ctx context.Context) (report health, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // one that is paused never answers
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.HTTP+"/v1/health", nil)
	if err != nil {
		return report, false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return report, false
	}
	defer res.Body.Close()
	err = json.NewDecoder(res.Body).Decode(&report)
	return report, err == nil
}

// Any returns a server that runs.
func (c *Cluster) Any() *Server {
	for _, s := range c.Servers {
		if s.Running() {
			return s
		}
	}
	return c.Servers[0]
}

// Client speaks to a running server with a token.
func (c *Cluster) Client(token string) (*client.Client, error) {
	return client.New(client.Config{Address: c.Any().HTTP, Token: token})
}

// Result is what a command printed and how it ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Oakum runs the command line against a running server.
func (c *Cluster) Oakum(ctx context.Context, token string, args ...string) Result {
	var out, errs bytes.Buffer
	code := c.OakumTo(ctx, token, &out, &errs, args...)
	return Result{Stdout: out.String(), Stderr: errs.String(), Code: code}
}

// OakumTo is Oakum with its output as it comes.
func (c *Cluster) OakumTo(ctx context.Context, token string, stdout, stderr io.Writer, args ...string) int {
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Env = append(os.Environ(), "OAKUM_ADDR="+c.Any().HTTP, "OAKUM_TOKEN="+token)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		fmt.Fprintln(stderr, err)
		return -1
	}
	return 0
}
