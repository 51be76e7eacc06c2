package sandbox

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// databasesScript is what the scripts share that tell which packages are installed.
//
//go:embed databases.sh
var databasesScript string

// nodeScript is what tells on a client what is installed there.
//
//go:embed node.sh
var nodeScript string

const (
	// nodeReport is the path of its report in Nomad's file API.
	nodeReport = "alloc/data/oakum-node.report"
	// nodesEvery is the pause between two looks at the job: each lists all of its allocations.
	nodesEvery = time.Second
	// nodesWithin is how long the nodes have. A package manager prints its database in seconds;
	// one that another process has locked waits.
	nodesWithin = 6 * time.Minute
)

// ReadNodes reads what is installed on client nodes, by a sysbatch job in namespace default.
// What it returns has each of the nodes. An error means that the job may be left.
func (s *Sandbox) ReadNodes(ctx context.Context, spec twin.NodesSpec) (map[string]twin.NodePackages, error) {
	job, out := nodesJob(spec), map[string]twin.NodePackages{}
	failed, err := s.onNodes(ctx, job, spec.Nodes, func(ctx context.Context, stub *nomadapi.AllocationListStub) error {
		text, err := s.readFile(ctx, *job.Namespace, stub.ID, nodeReport, reportMax)
		if err != nil {
			return err
		}
		report, err := appliance.Parse(text)
		if err != nil {
			return err
		}
		if !report.Ended {
			return api.Errorf(api.CodeUnavailable, "what it told is not whole")
		}
		out[stub.NodeID] = twin.NodePackages{Databases: report.Databases}
		return nil
	})
	for node, why := range failed {
		out[node] = twin.NodePackages{Err: why}
	}
	return out, err
}

// onNodes runs a sysbatch job on nodes, has each of its allocations read that has ended well,
// and removes the job afterwards. It says of each other node why there was nothing to read. An
// error means that the job may be left.
func (s *Sandbox) onNodes(ctx context.Context, job *nomadapi.Job, nodes []string, read func(context.Context, *nomadapi.AllocationListStub) error) (map[string]error, error) {
	began, done, why := time.Now(), map[string]error{}, map[string]string{}
	err := s.runJob(ctx, job, nodesEvery, func(ctx context.Context) (bool, error) {
		placed, unplaced, err := s.placed(ctx, job)
		if err != nil {
			return false, err
		}
		stubs, err := s.allocs(ctx, job)
		if err != nil {
			return false, err
		}
		left := 0
		for _, node := range nodes {
			why[node] = "Nomad has not placed the job there" + unplaced
		}
		for _, stub := range stubs {
			if _, have := done[stub.NodeID]; have {
				continue
			}
			if !ended(stub) {
				why[stub.NodeID] = fmt.Sprintf("the job has not ended there within %s", nodesWithin)
				left++
				continue
			}
			done[stub.NodeID] = s.readAlloc(ctx, job, stub, read)
		}
		return placed && left == 0 || time.Since(began) > nodesWithin, nil
	})
	failed := map[string]error{}
	for _, node := range nodes {
		switch failure, have := done[node]; {
		case have && failure == nil:
		case have:
			failed[node] = failure
		case why[node] == "" && err != nil:
			failed[node] = err
		default:
			failed[node] = api.Errorf(api.CodeUnavailable, "%s", cmp.Or(why[node], "the job has not come so far"))
		}
	}
	return failed, err
}

// readAlloc has an allocation read that has ended.
func (s *Sandbox) readAlloc(ctx context.Context, job *nomadapi.Job, stub *nomadapi.AllocationListStub, read func(context.Context, *nomadapi.AllocationListStub) error) error {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	if stub.ClientStatus != nomadapi.AllocClientStatusComplete {
		return api.Errorf(api.CodeUnavailable, "%s", s.failed(ctx, *job.Namespace, stub))
	}
	return read(ctx, stub)
}

// placed reports whether Nomad has placed all that it will place of a job now, and says why
// it has not placed the rest.
func (s *Sandbox) placed(ctx context.Context, job *nomadapi.Job) (done bool, unplaced string, err error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	evals, _, err := s.api.Jobs().Evaluations(*job.ID, s.nomad.Query(ctx, *job.Namespace))
	if err != nil {
		return false, "", nomad.Explain("list evaluations of "+*job.ID, err)
	}
	done = len(evals) > 0
	for _, e := range evals {
		done = done && e.Status != nomadapi.EvalStatusPending
		for _, metric := range e.FailedTGAllocs {
			unplaced = ": " + placement(metric)
		}
	}
	return done, unplaced, nil
}

// allocs lists the allocations of a job.
func (s *Sandbox) allocs(ctx context.Context, job *nomadapi.Job) ([]*nomadapi.AllocationListStub, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(*job.ID, true, s.nomad.Query(ctx, *job.Namespace))
	return stubs, nomad.Explain("list allocations of "+*job.ID, err)
}

// nodesJob tells what is installed on nodes.
func nodesJob(spec twin.NodesSpec) *nomadapi.Job {
	task := nomadapi.NewTask(bakeTask, "raw_exec").
		SetConfig("command", "/bin/sh").
		SetConfig("args", []string{
			"${NOMAD_TASK_DIR}/node.sh", "", "${NOMAD_TASK_DIR}/rpm-format",
			"${NOMAD_ALLOC_DIR}/" + strings.TrimPrefix(nodeReport, "alloc/"),
		})
	task.Templates = []*nomadapi.Template{
		template("local/node.sh", nodeScript), template("local/databases.sh", databasesScript), template("local/rpm-format", spec.RPMFormat),
	}
	return onceOnEach(spec.Job, twin.NodesNamespace, spec.Nodes, task, 300)
}

// onceOnEach is a sysbatch job that runs a task once on each of some nodes, whatever their
// pool, with so much disk (MB). Nomad takes a list for a set.
func onceOnEach(id, namespace string, nodes []string, task *nomadapi.Task, disk int) *nomadapi.Job {
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)}
	task.LogConfig = &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)}
	group := nomadapi.NewTaskGroup("bake", 1)
	group.RestartPolicy = neverRestart()
	group.EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(disk)}
	group.Tasks = []*nomadapi.Task{task}
	return &nomadapi.Job{
		ID: new(id), Name: new(id), Namespace: new(namespace), NodePool: new(nomadapi.NodePoolAll), Datacenters: []string{"*"},
		Type: new(nomadapi.JobTypeSysbatch), Priority: new(twinPriority), TaskGroups: []*nomadapi.TaskGroup{group},
		Constraints: []*nomadapi.Constraint{nomadapi.NewConstraint("${node.unique.id}", "set_contains_any", strings.Join(nodes, ","))},
	}
}
