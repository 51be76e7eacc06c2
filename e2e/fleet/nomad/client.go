package nomad

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/fleet"
)

// What Nomad's clients tell of the allocations that they run.

// allocStats is what an allocation uses now, measured once a second. Its task
// that lives as long as it does uses all of that.
func (n *Door) allocStats(f *fleet.Fleet, q *question) (any, uint64, error) {
	a, err := q.alloc(f)
	if err != nil {
		return nil, f.TableIndex(fleet.TableAllocs), err
	}
	if a.Client != fleet.ClientRunning || !a.Node.Reachable() {
		return nil, 0, answer(http.StatusNotFound, "Unknown allocation %q", a.ID)
	}
	cores, bytes := n.sandbox.usage(f, a)
	used := &nomadapi.ResourceUsage{
		CpuStats:    &nomadapi.CpuStats{Percent: 100 * cores, Measured: []string{"Percent"}},
		MemoryStats: &nomadapi.MemoryStats{RSS: uint64(max(0, bytes)), Measured: []string{"RSS"}},
	}
	at := f.Now().Truncate(measured).UnixNano()
	out := &nomadapi.AllocResourceUsage{ResourceUsage: used, Timestamp: at, Tasks: map[string]*nomadapi.TaskResourceUsage{}}
	for _, t := range a.Group.Tasks {
		state, _ := a.TaskState(t)
		switch {
		case state != "running":
		case t.Lifecycle == "":
			out.Tasks[t.Name] = &nomadapi.TaskResourceUsage{ResourceUsage: used, Timestamp: at}
		default:
			none := &nomadapi.ResourceUsage{CpuStats: &nomadapi.CpuStats{}, MemoryStats: &nomadapi.MemoryStats{}}
			out.Tasks[t.Name] = &nomadapi.TaskResourceUsage{ResourceUsage: none, Timestamp: at}
		}
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

// allocChecks are the checks that a client makes of services in Nomad's own catalog. All of
// an instance pass once it answers.
func allocChecks(f *fleet.Fleet, q *question) (any, uint64, error) {
	a, err := q.alloc(f)
	if err != nil {
		return nil, 0, err
	}
	if !a.Node.Reachable() {
		return nil, 0, answer(http.StatusNotFound, "Unknown node %q", a.Node.ID)
	}
	job, err := toNomad(f, a.Job)
	if err != nil {
		return nil, 0, err
	}
	out := nomadapi.AllocCheckStatuses{}
	group := job.LookupTaskGroup(a.Group.Name)
	add := func(services []*nomadapi.Service) {
		for _, s := range services {
			for i := range s.Checks {
				if s.Provider != fleet.ProviderNomad || a.Client != fleet.ClientRunning {
					continue
				}
				check := nomadapi.AllocCheckStatus{ID: fmt.Sprintf("%s-%d", s.Name, i), Check: s.Checks[i].Name, Group: a.Name, Service: s.Name, Mode: "healthiness", Status: "pending"}
				if s.Checks[i].OnUpdate == nomadapi.OnUpdateIgnore {
					check.Mode = "readiness"
				}
				if a.Ready {
					check.Status = "success"
				}
				out[check.ID] = check
			}
		}
	}
	add(group.Services)
	for _, t := range group.Tasks {
		add(t.Services)
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

// files looks for what an allocation has written.
func (n *Door) files(r *http.Request, find func(*fleet.Alloc, Files) (string, error)) (string, error) {
	q, err := ask(r)
	if err != nil {
		return "", err
	}
	var text string
	n.model.View(func(f *fleet.Fleet) {
		var a *fleet.Alloc
		if a, err = q.alloc(f); err == nil {
			text, err = find(a, n.sandbox.files(a, f.Now()))
		}
	})
	return text, err
}

// logs answers with what a task has said.
func (n *Door) logs(w http.ResponseWriter, r *http.Request) {
	text, err := n.files(r, func(a *fleet.Alloc, files Files) (string, error) {
		task, kind := r.URL.Query().Get("task"), r.URL.Query().Get("type")
		if kind != "stdout" && kind != "stderr" {
			return "", answer(http.StatusBadRequest, "must provide log type (stdout/stderr)")
		}
		for _, t := range a.Group.Tasks {
			if t.Name == task {
				return files[task+"."+kind], nil
			}
		}
		return "", answer(http.StatusBadRequest, "unknown task name %q", task)
	})
	n.pour(w, r, text, err, true)
}

// cat answers with a file. One that is not there is told of where its text would
// be, as Nomad's servers do that ask a client.
func (n *Door) cat(w http.ResponseWriter, r *http.Request) {
	text, err := n.files(r, func(a *fleet.Alloc, files Files) (string, error) {
		return files.open(a, r.URL.Query().Get("path")), nil
	})
	n.pour(w, r, text, err, true)
}

// stream answers with a file in frames.
func (n *Door) stream(w http.ResponseWriter, r *http.Request) {
	text, err := n.files(r, func(a *fleet.Alloc, files Files) (string, error) {
		return files.open(a, r.URL.Query().Get("path")), nil
	})
	n.pour(w, r, text, err, false)
}

func (f Files) open(a *fleet.Alloc, path string) string {
	if text, ok := f[path]; ok {
		return text
	}
	return fmt.Sprintf("stat /alloc/%s/%s: no such file or directory", a.ID, path)
}

// pour writes the part of a text that was asked for.
func (n *Door) pour(w http.ResponseWriter, r *http.Request, text string, err error, plain bool) {
	at := 0
	if err == nil {
		at, err = offset(r, len(text))
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("X-Nomad-Index", strconv.Itoa(1))
	if plain {
		_, _ = w.Write([]byte(text[at:])) // whoever asked has gone
		return
	}
	_ = json.NewEncoder(w).Encode(nomadapi.StreamFrame{ // whoever asked has gone
		Offset: int64(len(text)), Data: []byte(text[at:]), File: r.URL.Query().Get("path"),
	})
}
