// Package daemon runs Oakum's own binary as an operator would: a cluster of
// servers, as processes that can be killed, paused and started again, and its
// command line as a person would type it. The servers run on loopback, or on
// another Host, beside the systems that an environment names.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/process"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/wait"
)

// Cluster is a set of servers that form one cluster.
type Cluster struct {
	Servers []*Server
	options Options
}

// Server is one of them.
type Server struct {
	*process.Process

	Name   string
	Index  int            // from 0
	HTTP   string         // URL of its API
	Raft   string         // address that the other servers reach it at
	Data   string         // folder of its state
	Binary string         // that Start runs
	Client *client.Client // with Options.Token

	host   Host
	config string // file
}

// Start writes the configurations, starts every server and waits for a leader. An
// error leaves nothing running.
func Start(ctx context.Context, env stack.Env, o Options) (*Cluster, error) {
	if o.Host == nil {
		o.Host = Loopback(AnyPorts)
	}
	c := &Cluster{options: o}
	if err := c.prepare(env); err != nil {
		return nil, err
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

// prepare writes everything that the servers need before they start.
func (c *Cluster) prepare(env stack.Env) error {
	var dirs []string
	for i := range c.options.Servers {
		dir := filepath.Join(c.options.Dir, name(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make server folder: %w", err)
		}
		dirs = append(dirs, dir)
	}
	places, err := c.options.Host.Places(dirs)
	if err != nil {
		return err
	}
	if c.options.Join == nil {
		for _, p := range places {
			c.options.Join = append(c.options.Join, p.Raft)
		}
	}
	for i, p := range places {
		s, err := c.server(env, i, dirs[i], p)
		if err != nil {
			return err
		}
		c.Servers = append(c.Servers, s)
	}
	return nil
}

func name(i int) string { return fmt.Sprintf("oakum-%d", i+1) }

// server prepares one server.
func (c *Cluster) server(env stack.Env, i int, dir string, at Place) (*Server, error) {
	o := c.options
	tls, err := o.tls(env, i, dir)
	if err != nil {
		return nil, err
	}
	scripts, err := Appliance(env.Images)
	if err != nil {
		return nil, err
	}
	if o.Reader && scripts != nil {
		if scripts.Reader, err = pinned(o.Binary); err != nil {
			return nil, err
		}
	}
	text, err := configuration{Options: o, Env: env, Name: name(i), Place: at, TLS: tls, Appliance: scripts}.text()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Process: process.New(filepath.Join(dir, "oakum.log")),
		Name:    name(i), Index: i, HTTP: "http://" + at.HTTP, Raft: at.Raft, Data: at.Data, Binary: o.Binary,
		host: o.Host, config: filepath.Join(dir, "oakum.hcl"),
	}
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	s.Client, err = client.New(client.Config{Address: s.HTTP, Token: o.Token, Timeout: o.Timeout})
	return s, err
}

// Start runs the process; its log is appended to.
func (s *Server) Start() error {
	run, env := s.host.Process(s.Index, []string{s.Binary, "agent", "-config=" + s.config})
	return s.Launch(run, env)
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

// Reconfigure changes the server's configuration; it holds from the next start.
func (s *Server) Reconfigure(change func(hcl string) string) error {
	text, err := os.ReadFile(s.config)
	if err == nil {
		err = os.WriteFile(s.config, []byte(change(string(text))), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Stop has every server end by itself.
func (c *Cluster) Stop() error {
	for _, s := range c.Servers {
		s.Terminate()
		s.Client.Close()
	}
	return nil
}

// Kill ends every server as a crash would, also one that is paused.
func (c *Cluster) Kill() {
	for _, s := range c.Servers {
		s.Kill()
		s.Client.Close()
	}
}

// healthTimeout bounds one question about a server's health: a server that is
// paused never answers.
const healthTimeout = 2 * time.Second

// Health is what a server says of itself; ok is false when it says nothing.
func (s *Server) Health(ctx context.Context) (report api.HealthReport, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	report, err := s.Client.Health(ctx)
	return report, err == nil
}

// Ready reports whether the server answers, and is ready by its own account.
func (s *Server) Ready(ctx context.Context) bool {
	report, ok := s.Health(ctx)
	return ok && report.Ready
}

// Leader waits for a server that leads by its own account and that a majority,
// itself included, takes for the leader.
func (c *Cluster) Leader(ctx context.Context) (*Server, error) {
	var leader *Server
	err := wait.Until(ctx, wait.Patience, func() bool {
		leader = c.leader(ctx)
		return leader != nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for a leader: %w; the log of %s ends:\n%s", err, c.Servers[0].Name, c.Servers[0].Tail(30))
	}
	return leader, nil
}

// leader asks every server once who leads.
func (c *Cluster) leader(ctx context.Context) *Server {
	named := make([]string, len(c.Servers)) // the leader's address, as each server that is ready says
	var asking sync.WaitGroup
	for i, s := range c.Servers {
		asking.Go(func() {
			if report, ok := s.Health(ctx); ok && report.Ready {
				named[i] = report.Leader
			}
		})
	}
	asking.Wait()
	votes := map[string]int{}
	for _, address := range named {
		votes[address]++
	}
	for i, s := range c.Servers {
		if named[i] == s.Raft && votes[s.Raft] > len(c.Servers)/2 {
			return s
		}
	}
	return nil
}

// Others are all servers but those.
func (c *Cluster) Others(not ...*Server) []*Server {
	return slices.DeleteFunc(slices.Clone(c.Servers), func(s *Server) bool { return slices.Contains(not, s) })
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

// Agree waits until every server has applied the same log, and returns an error
// when their states differ then.
func (c *Cluster) Agree(ctx context.Context) (api.StateInfo, error) {
	var infos []api.StateInfo
	err := wait.Until(ctx, wait.Patience, func() bool {
		infos = nil
		for _, s := range c.Servers {
			info, err := s.Client.State(ctx)
			infos = append(infos, info)
			if err != nil || info.Index != infos[0].Index {
				return false
			}
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
	cmd := exec.CommandContext(ctx, c.options.Binary, args...)
	cmd.Env = append(os.Environ(), "OAKUM_ADDR="+c.Any().HTTP, "OAKUM_TOKEN="+token)
	cmd.Stdout, cmd.Stderr = &out, &errs
	res := Result{}
	if err := cmd.Run(); err != nil {
		res.Code = -1
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			res.Code = exit.ExitCode()
		} else {
			fmt.Fprintln(&errs, err)
		}
	}
	res.Stdout, res.Stderr = out.String(), errs.String()
	return res
}
