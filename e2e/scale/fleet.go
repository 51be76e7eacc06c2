package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// The application has as many layers; a service calls some of the next layer.
const (
	layers = 5
	calls  = 3
)

func name(i int) string { return fmt.Sprintf("svc-%05d", i) }

// called lists whom each service calls: some of the next layer, the first of
// which are called by more.
func called(s settings) [][]string {
	rng := rand.New(rand.NewPCG(1, 2)) // the same fleet each time
	per := max(s.services/layers, 1)
	out := make([][]string, s.services)
	for i := range out {
		next := (i/per + 1) * per
		if next+per > s.services {
			continue
		}
		for range calls {
			x := rng.Float64()
			out[i] = append(out[i], name(next+int(x*x*float64(per))))
		}
		slices.Sort(out[i])
		out[i] = slices.Compact(out[i])
	}
	return out
}

// found makes the fleet: work comes in at the first layer.
func found(s settings, now time.Time) (*fleet.Fleet, error) {
	f := fleet.New(1, now)
	each := s.services*s.instances/max(s.nodes, 1) + 10
	for i := range s.nodes {
		f.AddNode(fleet.Node{
			Name: fmt.Sprintf("node-%04d", i), Class: "node", Meta: map[string]string{"rack": fmt.Sprintf("r%d", i/40)}, CPU: 200 * each, MemoryMB: 256 * each,
		})
	}
	var topology load.Topology
	whom := called(s)
	for i := range s.services {
		one := load.Service{Name: name(i)}
		if i < s.services/layers {
			one.Rate = float64(s.instances)
		}
		for _, to := range whom[i] {
			one.Calls = append(one.Calls, load.Call{To: to, Each: 1.0 / calls})
		}
		topology.Services = append(topology.Services, one)
	}
	if err := f.Load(topology); err != nil {
		return nil, fmt.Errorf("load the fleet: %w", err)
	}
	f.Behave(func(fleet.Build) fleet.Behaviour {
		return fleet.Behaviour{Boot: time.Second, BootMost: 2 * time.Second}
	})
	for i := range s.services {
		job, err := nomad.FromNomad(job(name(i), s.instances, whom[i]))
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name(i), err)
		}
		if _, err := f.Register(job, true, 0); err != nil {
			return nil, fmt.Errorf("register service %s: %w", name(i), err)
		}
	}
	return f, nil
}

// job is a service in the mesh, with an upstream for each call.
func job(id string, instances int, whom []string) *nomadapi.Job {
	proxy := &nomadapi.ConsulProxy{}
	for i, to := range whom {
		proxy.Upstreams = append(proxy.Upstreams, &nomadapi.ConsulUpstream{DestinationName: to, LocalBindPort: 9000 + i})
	}
	group := nomadapi.NewTaskGroup(id, instances)
	group.Networks = []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: "http"}}}}
	group.Services = []*nomadapi.Service{{
		Name: id, Provider: nomadapi.ServiceProviderConsul, PortLabel: "http",
		Checks:  []nomadapi.ServiceCheck{{Name: "answers", Type: "http", Path: "/health", Interval: 10 * time.Second, Timeout: 3 * time.Second}},
		Connect: &nomadapi.ConsulConnect{SidecarService: &nomadapi.ConsulSidecarService{Proxy: proxy}},
	}}
	group.AddTask(&nomadapi.Task{
		Name: "server", Driver: "docker", Config: map[string]any{"image": "app:1"},
		Resources: &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)},
	})
	return nomadapi.NewServiceJob(id, id, "global", 50).AddDatacenter("*").AddTaskGroup(group)
}

// scrape is the interval at which the model's Prometheus scrapes its instances.
const scrape = 15 * time.Second

// patch brings a new image to jobs.
func patch(id, version string, jobs ...string) string {
	return fmt.Sprintf(`patch %q {
  description = "a new build, to see how long it takes"
  severity    = "low"
  target {
    namespace = "default"
    jobs      = [%s]
  }
  apply "job" {
    task   = "server"
    config = { image = "app:%s" }
  }
}
`, id, quoted(jobs), version)
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

// steady keeps rollouts under way as long as they are watched: five stages each,
// as many at once as asked for, and no judge to wait for.
func steady(s settings) string {
	return fmt.Sprintf(`policy "scale" {
  applies = patch.name == "scale-rollouts"
  strategy "phased" { stages = [20, 40, 60, 80, 100] }
  judge { enabled = false }
  budget { targets = %d }
}
`, s.rollouts)
}
