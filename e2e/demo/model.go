package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/fleet"
	"github.com/oakumhq/oakum/e2e/stack"
)

const (
	// audience is whom the model's identity tokens are made for.
	audience = "oakum"
	// twinRate is how many requests a second a twin is sent at most. It is far below
	// what production has, so that a patch which bears no more passes the sandbox.
	twinRate = 60
)

// modelled is a fleet in memory. It needs neither root nor anything but Go.
type modelled struct {
	folder *folder
	served *fleet.Served
}

// Open makes the fleet and serves it.
func (m *modelled) Open(ctx context.Context, t *narrator) (o daemon.Options, env stack.Env, err error) {
	t.chapter("A fleet in memory: forty services, two hundred instances, four of them virtual machines")
	t.say("This fleet is a model: it answers as Nomad, Consul and Prometheus would, and no machine is behind it.")
	t.say("Oakum is the real one, and can't tell. `make demo-real` tells the same story on the real ones.")
	d, err := fleet.Describe(filepath.Join(t.root, "examples", "fleets", "shop.hcl"))
	if err != nil {
		return o, env, err
	}
	if m.folder, err = newFolder(os.TempDir()); err != nil {
		return o, env, err
	}
	if m.served, err = fleet.Serve(ctx, d, fleet.Loopback(), audience); err != nil {
		return o, env, err
	}
	t.say("Nomad answers at %s, Consul at %s, Prometheus at %s.", m.served.NomadURL, m.served.ConsulURL, m.served.PrometheusURL)
	if t.patches, err = examplePatches(t.root); err != nil {
		return o, env, err
	}
	t.chapter("Three Oakum servers beside it")
	env = stack.Env{
		NomadAddr: m.served.NomadURL, ConsulAddr: m.served.ConsulURL, PrometheusAddr: m.served.PrometheusURL, OIDCAudience: audience,
	}
	return daemon.Options{
		Dir: filepath.Join(m.folder.path, "oakum"), Issuer: m.served.IssuerURL,
		// As quick as a fleet without a network allows.
		Paces: daemon.Paces{
			Scrape: fleet.ScrapeInterval, Profiler: fleet.ScrapeInterval, Checkpoint: 2 * time.Second, Orchestrator: 150 * time.Millisecond,
			Warmup: 2 * time.Second, Rate: twinRate,
		},
	}, env, nil
}

// examplePatches are the patches of the repository by name. The model's machines
// have their images where the patches say.
func examplePatches(root string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "examples", "patches", "*.hcl"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("find example patches in %s: %w", root, os.ErrNotExist)
	}
	patches := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		patches[name[:len(name)-len(filepath.Ext(name))]] = file
	}
	return patches, nil
}

// Policy is quick: what is judged has many requests.
func (m *modelled) Policy() string { return "fleets/shop-policy.hcl" }

// Scenes begin with what needs no baseline, which is learned meanwhile.
func (m *modelled) Scenes(t *narrator) []scene {
	return []scene{{"graph", t.graph}, {"tried", t.tried}, {"load", t.loadBeside}, {"good", t.goodSurvived}}
}

// Graph shows one service of the forty.
func (m *modelled) Graph() [][]string { return [][]string{{"graph", "impact", "store"}} }

// Tokens come from the model's issuer.
func (m *modelled) Tokens(context.Context) (pipeline, manager string, err error) {
	if pipeline, err = m.served.Issuer.Token("pipeline", "deployers"); err != nil {
		return "", "", err
	}
	manager, err = m.served.Issuer.Token("alice", "release-managers")
	return pipeline, manager, err
}

// Close ends the fleet.
func (m *modelled) Close(context.Context, *narrator) error {
	if m.served == nil {
		return m.folder.remove()
	}
	return errors.Join(m.served.Close(), m.folder.remove())
}
