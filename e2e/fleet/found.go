package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

const (
	bootDefault = time.Second
	port        = "http"
	task        = "server"
	machineTask = "vm" // of a service whose driver is qemu
)

// Found makes the fleet of a description, with every job registered at now and
// nothing placed yet. It schedules the faults of nodes and jobs.
func (d *Description) Found(now time.Time) (*fleet.Fleet, error) {
	f := fleet.New(d.Seed, now)
	for _, n := range d.Nodes {
		for i, name := range n.names() {
			f.AddNode(fleet.Node{
				Name: name, Class: n.Kind, Meta: map[string]string{"rack": fmt.Sprintf("r%d", i%max(1, n.Racks)+1)},
				CPU: cmp.Or(n.CPU, 16_000), MemoryMB: cmp.Or(n.MemoryMB, 32_768),
			})
		}
	}
	topology := load.Topology{Weeks: weeks()}
	for _, s := range d.Services {
		topology.Services = append(topology.Services, s.load())
	}
	if err := f.Load(topology); err != nil {
		return nil, fmt.Errorf("load the fleet: %w", err)
	}
	f.Behave(d.behaviour)
	for i := range d.Services {
		job, err := nomad.FromNomad(d.Services[i].job())
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", d.Services[i].Name, err)
		}
		if _, err := f.Register(job, true, 0); err != nil {
			return nil, fmt.Errorf("register service %s: %w", d.Services[i].Name, err)
		}
	}
	if err := d.scheduleFaults(f); err != nil {
		return nil, err
	}
	return f, nil
}

// load is what the service usually does.
func (s *Service) load() load.Service {
	own := load.Service{Name: s.Name, Rate: s.Rate, Week: s.Week, Errors: s.Errors, Latency: s.latency, CPU: s.cpu}
	for _, to := range slices.Sorted(maps.Keys(s.Calls)) {
		own.Calls = append(own.Calls, load.Call{To: to, Each: s.Calls[to]})
	}
	return own
}

// behaviour is what the first block that fits says of a build. A twin boots as
// its service does, whose name its group has.
func (d *Description) behaviour(b fleet.Build) fleet.Behaviour {
	boot := bootDefault
	for _, s := range d.Services {
		if s.Name == b.Group.Name {
			boot = cmp.Or(s.boot, boot)
		}
	}
	var known Build
	if at := slices.IndexFunc(d.Builds, func(k Build) bool { return slices.ContainsFunc(b.Group.Tasks, k.fits) }); at >= 0 {
		known = d.Builds[at]
	}
	boot = cmp.Or(known.boot, boot)
	out := fleet.Behaviour{
		Boot: boot, BootMost: boot + boot/2, CrashAfter: known.crashAfter,
		Harm: load.Harm{
			Errors: known.Errors, Latency: known.Latency, CPU: known.CPU, Memory: known.Memory, Disk: known.Disk,
			Lies: known.Lies, Above: known.AboveRate,
		},
	}
	if known.NeverBoots {
		out.NeverBoots = 1
	}
	return out
}

// fits reports whether a task runs what the block is about.
func (b Build) fits(t fleet.Task) bool {
	if ok, err := path.Match(b.Image, t.Image()); b.Image != "" && (err != nil || !ok) {
		return false
	}
	for name, value := range b.Env {
		if t.Env[name] != value {
			return false
		}
	}
	return true
}

// job is the service as its owner would have registered it.
func (s *Service) job() *nomadapi.Job {
	job := nomadapi.NewServiceJob(s.Name, s.Name, "global", 50)
	job.AddDatacenter("*")
	group := nomadapi.NewTaskGroup(s.Name, s.Count)
	group.Meta = s.Meta
	group.Networks = []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: port}}}}
	group.Services = []*nomadapi.Service{s.registration()}
	group.Update = &nomadapi.UpdateStrategy{
		MaxParallel: new(max(1, s.Count/2)), HealthCheck: new("checks"), MinHealthyTime: new(time.Second),
		HealthyDeadline: new(time.Minute), ProgressDeadline: new(5 * time.Minute),
	}
	group.AddTask(s.task())
	return job.AddTaskGroup(group)
}

// registration has a sidecar in the mesh, with an upstream for each call.
func (s *Service) registration() *nomadapi.Service {
	proxy := &nomadapi.ConsulProxy{}
	for i, to := range slices.Sorted(maps.Keys(s.Calls)) {
		proxy.Upstreams = append(proxy.Upstreams, &nomadapi.ConsulUpstream{DestinationName: to, LocalBindPort: 9000 + i})
	}
	return &nomadapi.Service{
		Name: s.Name, Provider: nomadapi.ServiceProviderConsul, PortLabel: port, Address: "127.0.0.1",
		Checks: []nomadapi.ServiceCheck{{
			Name: s.Name + " is healthy", Type: "http", Path: "/health", Interval: 10 * time.Second, Timeout: 3 * time.Second,
		}},
		Connect: &nomadapi.ConsulConnect{SidecarService: &nomadapi.ConsulSidecarService{Proxy: proxy}},
	}
}

// task is a container, or a machine that boots from its image.
func (s *Service) task() *nomadapi.Task {
	image := cmp.Or(s.Image, s.Name+":1.0")
	resources := &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)}
	if s.Driver != "qemu" {
		return &nomadapi.Task{
			Name: task, Driver: cmp.Or(s.Driver, "docker"), Env: s.Env, Resources: resources,
			Config: map[string]any{"image": image, "ports": []string{port}},
		}
	}
	return &nomadapi.Task{
		Name: machineTask, Driver: s.Driver, Env: s.Env, Resources: resources,
		Config: map[string]any{
			"image_path": image, "drive_interface": "virtio",
			"args": []string{
				"-snapshot", "-no-reboot",
				"-netdev", "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080",
				"-device", "virtio-net-pci,netdev=n0,romfile=",
			},
		},
	}
}
