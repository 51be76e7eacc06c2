package grouptask

import (
	"fmt"
	"net"
	"strconv"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// Stubs is the name of the task that answers for the services that a group calls.
	Stubs = "oakum-stubs"
	// StubReport is the path of its report in Nomad's file API.
	StubReport = Stubs + "/local/report.json"
	// AnswersMax bounds all answers of a twin in bytes. They are in its job.
	AnswersMax = 512 << 10
	loopback   = "127.0.0.1"
)

// Answering is what answers for the services that a group calls.
type Answering struct {
	Task      *nomadapi.Task // nil without any
	Upstreams []Upstream     // mesh upstreams that stubs stand for
	Lacks     []string       // stubs that have no place in the group
}

// Upstream is where a group finds a service of the mesh.
type Upstream struct{ Service, Host, Port string }

// NewStubs has each stub listen where the group finds the service: at the port that
// the stub names, else where the mesh upstream of this name listens. The control and the
// treatment of a group get the same.
func NewStubs(group *nomadapi.TaskGroup, g *twin.Group) (Answering, error) {
	var out Answering
	args, size := []string{"workload", "answer", "-out=${NOMAD_TASK_DIR}/report.json"}, 0
	var files []*nomadapi.Template
	for _, s := range g.Stubs {
		upstream := upstreamOf(group, s.Name)
		host, port, why := stubPlace(s, upstream)
		if why != "" {
			out.Lacks = append(out.Lacks, fmt.Sprintf("stub %s (%s)", s.Name, why))
			continue
		}
		if upstream != nil {
			out.Upstreams = append(out.Upstreams, Upstream{s.Name, host, port})
		}
		args = append(args, net.JoinHostPort(host, port)+"=${NOMAD_TASK_DIR}/"+s.Name+".ndjson")
		files = append(files, verbatim(s.Answers, "local/"+s.Name+".ndjson"))
		size += len(s.Answers)
	}
	if len(files) == 0 {
		return out, nil
	}
	if size > AnswersMax {
		return Answering{}, api.Errorf(api.CodeInvalid, "the answers of all stubs have %d bytes; those of a twin have at most %d", size, AnswersMax)
	}
	task, err := helper(Stubs, g.Load, args)
	if err != nil {
		return Answering{}, err
	}
	// It runs before the group's own tasks, and until they end.
	task.Lifecycle = &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPrestart, Sidecar: true}
	task.Templates = files
	out.Task = task
	return out, nil
}

// stubPlace is where a stub listens, or why it can listen nowhere.
func stubPlace(s twin.Stub, upstream *nomadapi.ConsulUpstream) (host, port, why string) {
	host, n := loopback, s.Port
	if upstream != nil && upstream.LocalBindAddress != "" {
		host = upstream.LocalBindAddress
	}
	if upstream != nil && n == 0 {
		n = upstream.LocalBindPort
	}
	switch ip := net.ParseIP(host); {
	case n == 0:
		return "", "", "the group has no upstream of that name with a port, and the stub names no port"
	case ip == nil || !ip.IsLoopback():
		return "", "", "its upstream is bound to " + host + ", which is no loopback address"
	}
	return host, strconv.Itoa(n), ""
}

// upstreamOf is the mesh upstream of a group that leads to a service, or nil.
func upstreamOf(group *nomadapi.TaskGroup, service string) *nomadapi.ConsulUpstream {
	for _, s := range group.Services {
		if s.Connect == nil || s.Connect.SidecarService == nil || s.Connect.SidecarService.Proxy == nil {
			continue
		}
		for _, u := range s.Connect.SidecarService.Proxy.Upstreams {
			if u.DestinationName == service {
				return u
			}
		}
	}
	return nil
}
