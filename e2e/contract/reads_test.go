package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"
)

// readChecks are the ways of reading.
func readChecks() []check {
	const area = "reads"
	return []check{
		{area, "a blocking query", blocking},
		{area, "the event stream", eventStream},
		{area, "evaluations", evaluations},
		{area, "an allocation", allocation},
		{area, "statistics of an allocation", statistics},
		{area, "logs and files", logsAndFiles},
		{area, "checks that a client makes", nativeChecks},
		{area, "the agent", agent},
	}
}

func blocking(s *script) {
	job := s.job(1)
	s.up(job)
	_, meta, err := s.vendor.Jobs().Info(s.id, nil)
	must.NoError(s.t, err)
	s.say("an index: %t, a known leader: %t, last contact %s", meta.LastIndex > 0, meta.KnownLeader, meta.LastContact)
	_, stale, err := s.vendor.Jobs().Info(s.id, &nomadapi.QueryOptions{AllowStale: true})
	must.NoError(s.t, err)
	s.say("stale: the same index %t", stale.LastIndex == meta.LastIndex)
	began := time.Now()
	_, same, err := s.vendor.Jobs().Info(s.id, &nomadapi.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 300 * time.Millisecond})
	must.NoError(s.t, err)
	s.say("nothing happens: the same index %t, after the wait %t", same.LastIndex == meta.LastIndex, time.Since(began) >= 300*time.Millisecond)
	s.say("an index that is past: answered at once %t", s.soon(func(q *nomadapi.QueryOptions) error {
		_, _, err := s.vendor.Jobs().Info(s.id, q)
		return err
	}, meta.LastIndex-1, func() {}))
	change := func() {
		build(job, "v2")
		must.NoError(s.t, s.register(job))
	}
	s.say("a job, registered meanwhile: answered %t", s.soon(func(q *nomadapi.QueryOptions) error {
		job, meta, err := s.vendor.Jobs().Info(s.id, q)
		if err == nil && (*job.Version != 1 || meta.LastIndex <= q.WaitIndex) {
			return fmt.Errorf("version %d at index %d", *job.Version, meta.LastIndex)
		}
		return err
	}, meta.LastIndex, change))
	s.deployed(1, "successful")
	_, meta, err = s.vendor.Jobs().Allocations(s.id, false, nil)
	must.NoError(s.t, err)
	s.say("its allocations, replaced meanwhile: answered %t", s.soon(func(q *nomadapi.QueryOptions) error {
		_, meta, err := s.vendor.Jobs().Allocations(s.id, false, q)
		if err == nil && meta.LastIndex <= q.WaitIndex {
			return fmt.Errorf("index %d", meta.LastIndex)
		}
		return err
	}, meta.LastIndex, func() { build(job, "v3"); must.NoError(s.t, s.register(job)) }))
	for _, path := range []string{"/v1/job/" + s.id + "?index=x", "/v1/job/" + s.id + "?wait=x", "/v1/odd", "/v1/jobs?namespace=nowhere"} {
		status, text := s.get(path)
		s.say("%s: %d %s", path, status, text)
	}
}

// soon reports whether a blocking query is answered well when something happens
// while it waits.
func (s *script) soon(ask func(*nomadapi.QueryOptions) error, index uint64, meanwhile func()) bool {
	s.t.Helper()
	done := make(chan error, 1)
	go func() { done <- ask(&nomadapi.QueryOptions{WaitIndex: index, WaitTime: s.w.patience}) }()
	meanwhile()
	began := time.Now()
	must.NoError(s.t, <-done)
	return time.Since(began) < s.w.patience
}

// get asks Nomad without a client that hides anything.
func (s *script) get(path string) (status int, text string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.ctx(), http.MethodGet, s.w.nomad+path, nil)
	must.NoError(s.t, err)
	req.Header.Set("X-Nomad-Token", s.w.nomadToken)
	resp, err := http.DefaultClient.Do(req)
	must.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must.NoError(s.t, err)
	if resp.StatusCode == http.StatusOK {
		return resp.StatusCode, fmt.Sprintf("%t bytes", len(body) > 0)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// eventStream is what is told of a job that is registered, changed and stopped.
func eventStream(s *script) {
	ctx, cancel := context.WithTimeout(s.ctx(), s.w.patience)
	defer cancel()
	job := s.job(1)
	must.NoError(s.t, s.register(job))
	registered, _, err := s.vendor.Jobs().Info(s.id, nil)
	must.NoError(s.t, err)
	// From index 0 on Nomad begins with the oldest event that it still has, and ends
	// the stream where that one leaves its buffer of 100 before it was sent.
	events, err := s.vendor.EventStream().Stream(ctx, map[nomadapi.Topic][]string{
		nomadapi.TopicJob: {"*"}, nomadapi.TopicDeployment: {"*"}, nomadapi.TopicAllocation: {"*"}, nomadapi.TopicEvaluation: {"*"},
	}, *registered.JobModifyIndex-1, nil)
	must.NoError(s.t, err)
	seen := map[string]bool{}
	until := func(what string, names ...string) {
		s.say("%s:", what)
		for slices.ContainsFunc(names, func(name string) bool { return !seen[name] }) {
			batch, open := <-events
			must.True(s.t, open && ctx.Err() == nil, must.Sprintf("%s: seen only %v", what, seen))
			must.NoError(s.t, batch.Err, must.Sprintf("%s: seen only %v", what, seen))
			for _, e := range batch.Events {
				if e.Key == s.id || slices.Contains(e.FilterKeys, s.id) {
					seen[fmt.Sprintf("%s %s", e.Topic, e.Type)] = true
				}
			}
		}
		for _, name := range names {
			s.say("  %s", name)
		}
		clear(seen)
	}
	until("registered", "Job JobRegistered", "Allocation PlanResult", "Allocation AllocationUpdated",
		"Deployment PlanResult", "Deployment AllocationUpdated", "Job PlanResult")
	_, _, err = s.vendor.Jobs().Deregister(s.id, false, nil)
	must.NoError(s.t, err)
	until("stopped", "Job JobDeregistered", "Allocation PlanResult", "Allocation AllocationUpdated")
}

func evaluations(s *script) {
	job := s.job(1)
	s.up(job)
	var list []*nomadapi.Evaluation
	s.await("every evaluation is over", func() bool {
		var err error
		list, _, err = s.vendor.Jobs().Evaluations(s.id, nil)
		must.NoError(s.t, err)
		return len(list) > 1 && !slices.ContainsFunc(list, func(e *nomadapi.Evaluation) bool { return e.Status == "pending" })
	})
	kinds := map[string]bool{}
	for _, e := range list {
		kinds[fmt.Sprintf("%s %s %s priority %d of %s, failed %d", e.TriggeredBy, e.Status, e.Type, e.Priority, e.JobID, len(e.FailedTGAllocs))] = true
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		s.say("%s", k)
	}
	one, _, err := s.vendor.Evaluations().Info(list[0].ID, nil)
	must.NoError(s.t, err)
	s.say("by ID: the same %t", one.ID == list[0].ID)
	id, _, err := s.vendor.Jobs().ForceEvaluate(s.id, nil)
	must.NoError(s.t, err)
	s.say("forced: an ID %t", id != "")
	s.await("it is complete", func() bool {
		e, _, err := s.vendor.Evaluations().Info(id, nil)
		must.NoError(s.t, err)
		return e.Status == "complete"
	})
	_, _, err = s.vendor.Evaluations().Info("5a3c1b8e-0000-4000-8000-000000000000", nil)
	s.say("not there: %s", status(err))
	_, err2 := s.forced(s.id + "-absent")
	s.say("forced of no job: %s", status(err2))
	none, _, err := s.vendor.Jobs().Evaluations(s.id+"-absent", nil)
	s.say("of no job: %s, %d", status(err), len(none))
}

func (s *script) forced(id string) (string, error) {
	eval, _, err := s.vendor.Jobs().ForceEvaluate(id, nil)
	return eval, err
}

func allocation(s *script) {
	job := s.job(1)
	job.TaskGroups[0].Networks = []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: "http"}}}}
	s.up(job)
	stub := s.live()[0]
	a, _, err := s.vendor.Allocations().Info(stub.ID, nil)
	must.NoError(s.t, err)
	s.say("%s in %s of job %s version %d group %s, node is the first %t, %s/%s, create time %t", a.Name, a.Namespace, a.JobID, *a.Job.Version, a.TaskGroup,
		a.NodeName == s.w.nodes[0], a.DesiredStatus, a.ClientStatus, a.CreateTime > 0)
	task := a.TaskStates["main"]
	s.say("task main: %s, failed %t, restarts %d, started %t", task.State, task.Failed, task.Restarts, !task.StartedAt.IsZero())
	types := map[string]bool{}
	for _, e := range task.Events {
		types[e.Type] = true
	}
	s.say("events: %v", slices.Sorted(maps.Keys(types)))
	for _, p := range a.AllocatedResources.Shared.Ports {
		s.say("port %s: a number %t, to %d, at %s", p.Label, p.Value > 1024, p.To, p.HostIP)
	}
	r := a.AllocatedResources.Tasks["main"]
	s.say("resources: cpu %d, memory %d", r.Cpu.CpuShares, r.Memory.MemoryMB)
	s.say("job of the allocation: build %s", a.Job.TaskGroups[0].Tasks[0].Env["VERSION"])
	by, _, err := s.vendor.Allocations().PrefixList(stub.ID[:8])
	must.NoError(s.t, err)
	s.say("by prefix: %d", len(by))
	_, _, err = s.vendor.Allocations().Info("5a3c1b8e-0000-4000-8000-000000000000", nil)
	s.say("not there: %s", status(err))
	status, text := s.get("/v1/allocation/xyz")
	s.say("no ID: %d %s", status, text)
	s.kill(0)
	a, _, err = s.vendor.Allocations().Info(stub.ID, nil)
	must.NoError(s.t, err)
	task = a.TaskStates["main"]
	s.say("killed: %s, task %s, failed %t", a.ClientStatus, task.State, task.Failed)
	for _, e := range task.Events {
		if e.Type == nomadapi.TaskTerminated {
			s.say("event %s: exit code %d, signal %d, %q", e.Type, e.ExitCode, e.Signal, e.DisplayMessage)
		}
	}
	s.await("another one runs", func() bool { return s.running(map[uint64]int{0: 1}) })
	s.sayAllocs()
}

func statistics(s *script) {
	s.up(s.job(1))
	a, _, err := s.vendor.Allocations().Info(s.live()[0].ID, nil)
	must.NoError(s.t, err)
	var u *nomadapi.AllocResourceUsage
	s.await("its node has measured it", func() bool {
		u, err = s.vendor.Allocations().Stats(a, nil)
		return err == nil && u.ResourceUsage != nil && u.ResourceUsage.MemoryStats.RSS > 0 && u.Tasks["main"] != nil && u.Tasks["main"].Timestamp > 0
	})
	s.say("cpu %t, memory %t, of task main: timestamp %t, memory %t", u.ResourceUsage.CpuStats != nil, u.ResourceUsage.MemoryStats.RSS > 0,
		u.Tasks["main"].Timestamp > 0, u.Tasks["main"].ResourceUsage.MemoryStats.RSS > 0)
	got, err := s.adapter.Stats(s.ctx(), a.ID)
	must.NoError(s.t, err)
	s.say("as the adapter reads it: memory %t, restarts %d", got.MemoryBytes > 0, got.Restarts)
	_, err = s.adapter.Stats(s.ctx(), "5a3c1b8e-0000-4000-8000-000000000000")
	s.say("not there: %v", err)
}

func logsAndFiles(s *script) {
	job := s.job(1)
	task := job.TaskGroups[0].Tasks[0]
	task.LogConfig = nil
	task.Config["args"] = []string{"-c", "echo said; echo wrong >&2; printf word >$NOMAD_ALLOC_DIR/data/file; exec sleep 100000"}
	task.Env["STDOUT"], task.Env["STDERR"], task.Env["FILE"] = "said\n", "wrong\n", "word"
	s.up(job)
	id := s.live()[0].ID
	read := func(path string, params map[string]string) (string, error) {
		body, err := s.vendor.Raw().Response(path+id, &nomadapi.QueryOptions{Params: params})
		if err != nil {
			return "", err
		}
		defer body.Close()
		text, err := io.ReadAll(body)
		return string(text), err
	}
	say := func(what, path string, params map[string]string) {
		text, err := read(path, params)
		if i := strings.Index(text, "/alloc/data/absent"); i > 0 { // where the node keeps its files is its own business
			text = text[i:]
		}
		s.say("%s: %s %q", what, status(err), text)
	}
	s.await("it has said something", func() bool {
		text, err := read("/v1/client/fs/logs/", map[string]string{"task": "main", "type": "stdout", "plain": "true"})
		file, err2 := read("/v1/client/fs/cat/", map[string]string{"path": "alloc/data/file"})
		return err == nil && err2 == nil && text != "" && file != ""
	})
	say("stdout", "/v1/client/fs/logs/", map[string]string{"task": "main", "type": "stdout", "plain": "true"})
	say("the end of stderr", "/v1/client/fs/logs/", map[string]string{"task": "main", "type": "stderr", "plain": "true", "origin": "end", "offset": "4"})
	say("a file", "/v1/client/fs/cat/", map[string]string{"path": "alloc/data/file"})
	frame, err := read("/v1/client/fs/stream/", map[string]string{"path": "alloc/data/file", "origin": "end", "offset": "3", "follow": "false"})
	var f nomadapi.StreamFrame
	must.NoError(s.t, json.Unmarshal([]byte(frame), &f))
	s.say("a stream of a file: %s %q of %s", status(err), f.Data, f.File)
	say("no such file", "/v1/client/fs/cat/", map[string]string{"path": "alloc/data/absent"})
	say("no such task", "/v1/client/fs/logs/", map[string]string{"task": "absent", "type": "stdout", "plain": "true"})
	say("no such type", "/v1/client/fs/logs/", map[string]string{"task": "main", "type": "odd", "plain": "true"})
}

func agent(s *script) {
	self, err := s.vendor.Agent().Self()
	must.NoError(s.t, err)
	s.say("self: region %v, version %t, server %t", self.Config["Region"], self.Member.Tags["build"] != "" || self.Config["Version"] != nil, self.Stats["nomad"] != nil)
	leader, err := s.vendor.Status().Leader()
	s.say("leader: %s, an address %t", status(err), strings.Contains(leader, ":"))
	peers, err := s.vendor.Status().Peers()
	s.say("peers: %s, %d", status(err), len(peers))
	regions, err := s.vendor.Regions().List()
	s.say("regions: %s, %v", status(err), regions)
	health, err := s.vendor.Agent().Health()
	must.NoError(s.t, err)
	s.say("health: server %t %q", health.Server.Ok, health.Server.Message)
}
