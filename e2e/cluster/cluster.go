package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/authority"
	"github.com/oakumhq/oakum/e2e/process"
	"github.com/oakumhq/oakum/internal/wait"
)

// The ports inside of each namespace.
const (
	httpPort = 4740
	raftPort = 4741
)

// Options say what to run. The functions may be nil; they are given the number
// of a server, from 0.
type Options struct {
	Binary  string
	Dir     string
	Servers int
	Nomad   string // URL as the servers reach it; "" means that there is none
	Token   string // for Nomad
	Extra   string // HCL that is added to every server's configuration

	Plain   bool                 // leave the tls block out; Extra or Configure may bring another
	Relay   bool                 // whether the servers reach each other by way of this process; see Delay
	Wrap    func(i int) []string // what the command line begins with, inside of the namespace
	Env     func(i int) []string
	DiskMiB func(i int) int    // 0 means no disk of its own
	TLS     func(i int) string // HCL of the tls block; nil means certificates of a CA of the cluster's own
}

// Cluster is a set of servers on a network of their own.
type Cluster struct {
	Options
	Net     *Network
	Servers []*Server
	Token   string // of somebody who may do everything
	issuer  *issuer
	ca      *authority.Authority
	signer  *authority.Authority
	relays  []*relay
}

// Server is one of them.
type Server struct {
	*process.Process

	Name   string
	Index  int
	Client *client.Client
	Disk   *Disk  // nil unless asked for
	Raft   string // address between servers
	Data   string // folder of its state
	Binary string // Start runs this one

	cluster *Cluster
	config  string
}

// Start makes the network, starts every server and waits for a leader.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	network, err := NewNetwork(o.Servers)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Options: o, Net: network}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for _, s := range c.Servers {
		if err := s.Start(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if _, err := c.Leader(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// prepare writes everything that the servers need before they start.
func (c *Cluster) prepare() (err error) {
	if c.issuer, err = newIssuer(c.Net.Host()); err != nil {
		return err
	}
	if c.Token, err = c.issuer.token("tester"); err != nil {
		return err
	}
	if c.ca, err = authority.New(); err != nil {
		return err
	}
	if c.signer, err = authority.New(); err != nil {
		return err
	}
	addresses := make([]string, c.Options.Servers) // that the servers tell each other
	joins := make([]string, c.Options.Servers)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("%s:%d", c.Net.Address(i), raftPort)
		if c.Relay {
			r, err := newRelay(c.Net.Host(), addresses[i])
			if err != nil {
				return err
			}
			c.relays = append(c.relays, r)
			addresses[i] = r.address()
		}
		joins[i] = fmt.Sprintf("%q", addresses[i])
	}
	for i, address := range addresses {
		s, err := c.server(i, address, strings.Join(joins, ", "))
		if err != nil {
			return err
		}
		c.Servers = append(c.Servers, s)
	}
	return nil
}

// server prepares one server.
func (c *Cluster) server(i int, address, joins string) (*Server, error) {
	name := fmt.Sprintf("oakum-%d", i+1)
	dir := filepath.Join(c.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make server folder: %w", err)
	}
	s := &Server{
		Name: name, Index: i, Raft: address, Binary: c.Binary, cluster: c,
		config: filepath.Join(dir, "oakum.hcl"), Process: process.New(filepath.Join(dir, "oakum.log")),
	}
	s.Data = filepath.Join(dir, "data")
	if c.DiskMiB != nil && c.DiskMiB(i) > 0 {
		var err error
		if s.Disk, err = c.Net.disk(dir, c.DiskMiB(i)); err != nil {
			return nil, err
		}
		s.Data = filepath.Join(s.Disk.Dir, "data")
	}
	secret := filepath.Join(dir, "secret")
	proof, err := c.proof(i, dir)
	if err != nil {
		return nil, err
	}
	for path, text := range map[string]string{secret: "none", s.config: c.configuration(s, secret, joins) + proof} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
	}
	s.Client, err = client.New(client.Config{
		Address: fmt.Sprintf("http://%s:%d", c.Net.Address(i), httpPort), Token: c.Token, Timeout: callTimeout,
	})
	return s, err
}

// proof is the tls block of a server: with a certificate of the cluster's own
// CA, unless TLS says another.
func (c *Cluster) proof(i int, dir string) (string, error) {
	if c.TLS != nil {
		return c.TLS(i), nil
	}
	files, err := c.ca.Write(dir, "server.default.oakum")
	return authority.Block(files), err
}

// configuration is that of a server whose Vault is away, and whose Nomad is
// unless one was named: what is left is a cluster that keeps policies.
func (c *Cluster) configuration(s *Server, secret, joins string) string {
	nowhere := fmt.Sprintf("http://%s:1", c.Net.Host())
	nomad, token := nowhere, ""
	if c.Nomad != "" {
		nomad, token = c.Nomad, c.Options.Token
	}
	address := c.Net.Address(s.Index)
	return fmt.Sprintf(`name     = %q
data_dir = %q

addresses {
  http = "%s:%d"
  raft = "%s:%d"
}
advertise {
  raft = %q
}
server {
  bootstrap_expect = %d
  retry_join       = [%s]
}
nomad {
  address = %q
  token   = %q
}
vault {
  address        = %q
  role_id_file   = %q
  secret_id_file = %q
}
auth {
  issuer       = %q
  jwks_url     = %q
  audience     = %q
  vault_tokens = false
  rule "everybody" {
    when         = true
    capabilities = ["read", "policy-write", "patch-submit", "simulate", "approve", "rollout-control", "operator"]
  }
}
%s
`, s.Name, s.Data, address, httpPort, address, raftPort, s.Raft, c.Options.Servers, joins, nomad, token,
		nowhere, secret, secret, c.issuer.URL, c.issuer.URL, audience, c.Extra)
}

// Configure adds HCL to the server's configuration; it holds from the next start.
func (s *Server) Configure(hcl string) error {
	file, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = file.WriteString(hcl)
	return errors.Join(err, file.Close())
}

// Start runs the process; its log is appended to.
func (s *Server) Start() error {
	argv := []string{s.Binary, "agent", "-config=" + s.config}
	if s.cluster.Wrap != nil {
		argv = append(s.cluster.Wrap(s.Index), argv...)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.cluster.Dir}
	if s.cluster.Env != nil {
		env = append(env, s.cluster.Env(s.Index)...)
	}
	return s.Launch(s.cluster.Net.Inside(s.Index, argv...), env)
}

// Close ends every server and removes the network.
func (c *Cluster) Close() error {
	for _, s := range c.Servers {
		if s.Running() {
			_ = s.Resume() // one that is paused can't end
		}
		s.Kill()
		s.Client.Close()
	}
	var errs []error
	for _, r := range c.relays {
		errs = append(errs, r.close())
	}
	if c.issuer != nil {
		errs = append(errs, c.issuer.close())
	}
	return errors.Join(append(errs, c.Net.Close())...)
}

// lookTimeout bounds one question about a server's health.
const lookTimeout = 2 * time.Second

// Health is what a server says of itself; ok is false when it says nothing.
func (s *Server) Health(ctx context.Context) (report api.HealthReport, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	report, err := s.Client.Health(ctx)
	return report, err == nil
}

// Leader waits for a server that leads by its own account and is taken for the
// leader by a majority.
func (c *Cluster) Leader(ctx context.Context) (*Server, error) {
	var leader *Server
	err := wait.Until(ctx, wait.Patience, func() bool {
		votes := map[string]int{}
		for _, s := range c.Servers {
			if report, ok := s.Health(ctx); ok && report.Ready {
				votes[report.Leader]++
			}
		}
		for _, s := range c.Servers {
			report, ok := s.Health(ctx)
			if ok && report.Ready && report.Leader == s.Raft && votes[s.Raft] > len(c.Servers)/2 {
				leader = s
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("wait for a leader: %w; the log of %s ends:\n%s", err, c.Servers[0].Name, c.Servers[0].Tail(30))
	}
	return leader, nil
}

// Others are all servers but those.
func (c *Cluster) Others(not ...*Server) []*Server {
	var out []*Server
	for _, s := range c.Servers {
		skip := false
		for _, n := range not {
			skip = skip || n == s
		}
		if !skip {
			out = append(out, s)
		}
	}
	return out
}

// Agree waits until every server has applied the same log and returns an error
// when their states differ then.
func (c *Cluster) Agree(ctx context.Context) (api.StateInfo, error) {
	var infos []api.StateInfo
	err := wait.Until(ctx, wait.Patience, func() bool {
		infos = nil
		for _, s := range c.Servers {
			info, err := s.Client.State(ctx)
			if err != nil || (len(infos) > 0 && info.Index != infos[0].Index) {
				infos = append(infos, info)
				return false
			}
			infos = append(infos, info)
		}
		return true
	})
	if err != nil {
		return api.StateInfo{}, fmt.Errorf("wait until all servers are at one index: %w: %+v", err, infos)
	}
	for _, info := range infos {
		if info.Hash != infos[0].Hash || info.Level != infos[0].Level {
			return info, fmt.Errorf("the states of %s and %s differ at index %d: %+v", infos[0].Server, info.Server, info.Index, infos)
		}
	}
	return infos[0], nil
}
