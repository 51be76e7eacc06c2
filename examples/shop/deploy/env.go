// Package deploy brings the shop up on a running Nomad, Consul and Prometheus,
// and takes it down again: intentions, jobs, load, and the proof that requests
// go through the mesh end to end. It speaks the vendors' HTTP APIs as an
// operator's script would, and starts no goroutines.
package deploy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Env says where everything is.
type Env struct {
	NomadAddr, NomadToken   string // may submit jobs
	ConsulAddr, ConsulToken string // may write intentions
	MeshToken               string // Consul token of the workloads
	PrometheusAddr          string // empty: traffic is proved by the services' own figures alone
	StatsdAddr              string // host:port
	ConsulBinary            string
	Images                  string // folder that build.sh filled: images and the shop binary
	Jobs                    string // folder of the job files
	Entries                 string // load, such as "front=5,backoffice=19"; empty means the job file's default
	Swing                   string // of the load, such as "0.5:3"; empty means steady
}

// FromVariables reads an Env from the environment variables of a stack;
// repository is the folder of go.mod.
func FromVariables(get func(string) string, repository string) (Env, error) {
	env := Env{
		NomadAddr: get("NOMAD_ADDR"), NomadToken: get("NOMAD_TOKEN"),
		ConsulAddr: get("CONSUL_HTTP_ADDR"), ConsulToken: get("CONSUL_HTTP_TOKEN"), MeshToken: get("CONSUL_MESH_TOKEN"),
		PrometheusAddr: get("PROMETHEUS_ADDR"), StatsdAddr: get("STATSD_ADDR"),
		ConsulBinary: filepath.Join(get("STACK_BIN"), "consul"),
		Images:       get("STACK_IMAGES"),
		Jobs:         filepath.Join(repository, "examples", "jobs"),
	}
	var problems []error
	for name, value := range map[string]string{
		"NOMAD_ADDR": env.NomadAddr, "CONSUL_HTTP_ADDR": env.ConsulAddr, "STATSD_ADDR": env.StatsdAddr,
		"STACK_BIN": get("STACK_BIN"), "STACK_IMAGES": env.Images,
	} {
		if value == "" {
			problems = append(problems, fmt.Errorf("read environment: %s is empty", name))
		}
	}
	return env, errors.Join(problems...)
}

// shopBinary is where build.sh leaves the binary that the jobs run.
func (e Env) shopBinary() string { return filepath.Join(e.Images, "shop") }

// check finds what is missing before anything is changed.
func (e Env) check() error {
	for _, path := range []string{e.shopBinary(), filepath.Join(e.Images, "store-1.0.qcow2"), e.ConsulBinary, e.Jobs} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("find the shop's parts: %w (run make stack and make images)", err)
		}
	}
	return nil
}

// variables are the values for the job files' variable blocks.
func (e Env) variables() map[string]string {
	values := map[string]string{
		"shop": e.shopBinary(), "images": e.Images, "consul": e.ConsulBinary,
		"consul_addr": e.ConsulAddr, "consul_token": e.MeshToken, "statsd_addr": e.StatsdAddr,
	}
	if e.Entries != "" {
		values["entries"] = e.Entries
	}
	if e.Swing != "" {
		values["swing"] = e.Swing
	}
	return values
}

// Service is one service of the shop as it is meant to be.
type Service struct {
	Name      string
	Instances int
	Upstreams []string
}

// Services lists the shop, callers after those they call.
func Services() []Service {
	return []Service{
		{Name: "store", Instances: 3},
		{Name: "pricing", Instances: 2},
		{Name: "catalog", Instances: 10, Upstreams: []string{"pricing", "store"}},
		{Name: "cart", Instances: 2, Upstreams: []string{"pricing", "store"}},
		{Name: "front", Instances: 2, Upstreams: []string{"catalog", "cart"}},
		{Name: "backoffice", Instances: 1, Upstreams: []string{"catalog"}},
	}
}

// SandboxRate is how many requests a second a twin of the store is sent at most, as
// servers are told by simulator.rate: fewer than one in production gets, of which
// the patch store-1.3 makes a difference.
const SandboxRate = 2

// LoadJob is the job that drives the shop.
const LoadJob = "load"

// Allowed returns which service may call which: destination to sources.
func Allowed() map[string][]string {
	allowed := map[string][]string{}
	for _, s := range Services() {
		for _, u := range s.Upstreams {
			allowed[u] = append(allowed[u], s.Name)
		}
	}
	return allowed
}
