// Program scale runs Oakum's servers beside a fleet in memory of the largest
// size that one cluster is made for, and prints what that takes: how long until
// the graph stands, what the leader uses at rest and under rollouts, what it
// asks of Nomad, Consul and Prometheus, how long plans take, how large a snapshot
// is, and how long the next effect takes after the leader was killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
	doors "github.com/oakumhq/oakum/e2e/fleet"
	"github.com/oakumhq/oakum/e2e/stack"
)

const audience = "oakum"

// Targets on two cores.
const (
	planTarget     = 20 * time.Second
	restTarget     = 0.25 // of a core
	memoryTarget   = 3 << 29
	failoverTarget = 10 * time.Second
)

// settings are the flags.
type settings struct {
	nodes, services, instances, rollouts, servers int

	window time.Duration
	binary string
	dir    string
	keep   bool // dir
}

func main() {
	var s settings
	flag.IntVar(&s.nodes, "nodes", 1_000, "nodes of the fleet")
	flag.IntVar(&s.services, "services", 20_000, "services, each a job of its own")
	flag.IntVar(&s.instances, "instances", 5, "instances of each service")
	flag.IntVar(&s.rollouts, "rollouts", 50, "rollouts under way at once")
	flag.IntVar(&s.servers, "servers", 3, "servers of Oakum")
	flag.DurationVar(&s.window, "window", 2*time.Minute, "how long the leader is watched at rest, and under rollouts")
	flag.StringVar(&s.binary, "binary", "bin/oakum", "Oakum's binary")
	flag.StringVar(&s.dir, "dir", "", "folder for logs and data, which is kept; a temporary one that is not when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var t table
	err := measure(ctx, s, &t)
	t.print(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		stop()
		os.Exit(1)
	}
}

// rig is what the measurements are made on.
type rig struct {
	settings
	*table

	served                    *doors.Served
	nomad, consul, prometheus *relay
	cluster                   *daemon.Cluster
	client                    *client.Client // of the last server
	leader                    *daemon.Server
}

// measure founds the fleet, starts the servers and takes one figure after the other.
func measure(ctx context.Context, s settings, t *table) (err error) {
	r := &rig{settings: s, table: t}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.graph, r.rest, r.plans, r.underRollouts, r.snapshot, r.failover} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// open founds and serves the fleet, and starts the servers beside it.
func (r *rig) open(ctx context.Context) (err error) {
	r.keep = r.dir != ""
	if !r.keep {
		if r.dir, err = os.MkdirTemp("", "oakum-scale-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
	}
	began := time.Now()
	f, err := found(r.settings, began)
	if err != nil {
		return err
	}
	if r.served, err = doors.ServeFleet(ctx, f, doors.Options{At: doors.Loopback(), Audience: audience, Scrape: scrape}); err != nil {
		return err
	}
	say("made %d nodes, %d services and %d instances in %.1f s", r.nodes, r.services, r.services*r.instances, time.Since(began).Seconds())
	for _, door := range []struct {
		to  string
		via **relay
	}{{r.served.NomadURL, &r.nomad}, {r.served.ConsulURL, &r.consul}, {r.served.PrometheusURL, &r.prometheus}} {
		if *door.via, err = newRelay(ctx, door.to); err != nil {
			return err
		}
	}
	offset, err := stack.FreeOffset(1)
	if err != nil {
		return err
	}
	env := stack.Env{NomadAddr: r.nomad.URL, ConsulAddr: r.consul.URL, PrometheusAddr: r.prometheus.URL, OIDCAudience: audience}
	r.cluster, err = daemon.Start(ctx, env, daemon.Options{
		Binary: r.binary, Dir: filepath.Join(r.dir, "oakum"), Servers: r.servers, Host: daemon.Loopback(offset), Issuer: r.served.IssuerURL,
		Paces: daemon.Paces{Scrape: 5 * time.Second},
	})
	if err != nil {
		return err
	}
	r.leader, err = r.cluster.Leader(ctx)
	return err
}

// close ends everything that open began.
func (r *rig) close() error {
	var errs []error
	if r.cluster != nil {
		errs = append(errs, r.cluster.Stop())
	}
	for _, via := range []*relay{r.nomad, r.consul, r.prometheus} {
		if via != nil {
			errs = append(errs, via.Close())
		}
	}
	if r.served != nil {
		errs = append(errs, r.served.Close())
	}
	if !r.keep && r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
