package nomad

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
)

type namespace = nomadapi.Namespace

func (n *Door) otherRoutes() map[string]any {
	routes := map[string]any{
		"/v1/namespaces":                   reader(n.listNamespaces),
		"/v1/namespace/{namespace}":        reader(n.readNamespace),
		"DELETE /v1/namespace/{namespace}": writer(n.deleteNamespace),
		"/v1/services":                     reader(listServices),
		"/v1/service/{service}":            reader(readService),
		"/v1/event/stream":                 http.HandlerFunc(n.events),
		"/v1/agent/self":                   reader(n.self),
		"/v1/agent/health":                 reader(agentHealth),
		"/v1/agent/members":                reader(members),
		"/v1/status/leader":                reader(leader),
		"/v1/status/peers":                 reader(peers),
		"/v1/regions":                      reader(regions),
	}
	for _, method := range []string{"PUT ", "POST "} {
		routes[method+"/v1/namespace"] = writer(n.putNamespace)
		routes[method+"/v1/namespaces"] = writer(n.putNamespace)
		routes[method+"/v1/namespace/{namespace}"] = writer(n.putNamespace)
	}
	return routes
}

func (n *Door) listNamespaces(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*namespace{}
	for _, name := range slices.Sorted(maps.Keys(n.namespaces)) {
		if strings.HasPrefix(name, q.query("prefix")) {
			out = append(out, n.namespaces[name])
		}
	}
	return out, f.Index(), nil
}

func (n *Door) readNamespace(f *fleet.Fleet, q *question) (any, uint64, error) {
	space := n.namespaces[q.path("namespace")]
	if space == nil {
		return nil, f.Index(), answer(http.StatusNotFound, "Namespace not found")
	}
	return space, max(1, space.ModifyIndex), nil
}

func (n *Door) putNamespace(f *fleet.Fleet, q *question) (any, error) {
	var space namespace
	if err := q.body(&space); err != nil {
		return nil, err
	}
	if space.Name == "" {
		return nil, answer(http.StatusBadRequest, "namespace has no name")
	}
	space.CreateIndex, space.ModifyIndex = f.Index(), f.Index()
	if old := n.namespaces[space.Name]; old != nil {
		space.CreateIndex = old.CreateIndex
	}
	n.namespaces[space.Name] = &space
	return struct{}{}, nil
}

func (n *Door) deleteNamespace(f *fleet.Fleet, q *question) (any, error) {
	name := q.path("namespace")
	for _, id := range f.JobIDs() {
		if id.Namespace == name && f.Status(id) != "dead" {
			return nil, answer(http.StatusInternalServerError, "namespace %q has non-terminal jobs in regions: [%s]", name, region)
		}
	}
	if name == nomadapi.DefaultNamespace || n.namespaces[name] == nil {
		return nil, answer(http.StatusInternalServerError, "namespace %q can not be deleted", name)
	}
	delete(n.namespaces, name)
	return struct{}{}, nil
}

func (n *Door) self(f *fleet.Fleet, _ *question) (any, uint64, error) {
	return &nomadapi.AgentSelf{
		Config: map[string]any{"Region": region, "Datacenter": "dc1", "Version": map[string]any{"Version": nomadVersion}},
		Member: member(),
		Stats:  map[string]map[string]string{"nomad": {"server": "true", "leader": "true"}},
	}, f.Index(), nil
}

func member() nomadapi.AgentMember {
	return nomadapi.AgentMember{
		Name: "model." + region, Addr: door.Host, Port: 4648, Status: "alive",
		Tags: map[string]string{"role": "nomad", "region": region, "dc": "dc1", "build": nomadVersion, "port": "4647"},
	}
}

func agentHealth(f *fleet.Fleet, _ *question) (any, uint64, error) {
	return &nomadapi.AgentHealthResponse{Server: &nomadapi.AgentHealth{Ok: true, Message: "ok"}}, f.Index(), nil
}

func members(f *fleet.Fleet, _ *question) (any, uint64, error) {
	own := member()
	return &nomadapi.ServerMembers{ServerName: own.Name, ServerRegion: region, ServerDC: "dc1", Members: []*nomadapi.AgentMember{&own}}, f.Index(), nil
}

func leader(f *fleet.Fleet, _ *question) (any, uint64, error) {
	return door.Host + ":4647", f.Index(), nil
}

func peers(f *fleet.Fleet, _ *question) (any, uint64, error) {
	return []string{door.Host + ":4647"}, f.Index(), nil
}

func regions(f *fleet.Fleet, _ *question) (any, uint64, error) {
	return []string{region}, f.Index(), nil
}

// topics are what a reader of the event stream asked for: per topic, the keys.
type topics map[string][]string

func readTopics(r *http.Request) (topics, error) {
	out := topics{}
	for _, text := range r.URL.Query()["topic"] {
		topic, key, ok := strings.Cut(text, ":")
		if !ok || topic == "" || key == "" {
			return nil, answer(http.StatusBadRequest, "error parsing topics: Invalid key value pair for topic, topic: %s", text)
		}
		out[topic] = append(out[topic], key)
	}
	if len(out) == 0 {
		out["*"] = []string{"*"}
	}
	return out, nil
}

func (t topics) want(e fleet.Event) bool {
	for _, topic := range []string{e.Topic, "*"} {
		for _, key := range t[topic] {
			if key == "*" || key == e.Key || slices.Contains(e.Filter, key) {
				return true
			}
		}
	}
	return false
}

// events streams what happens, one batch a line, from an index on.
func (n *Door) events(w http.ResponseWriter, r *http.Request) {
	q, err := ask(r)
	var want topics
	if err == nil {
		want, err = readTopics(r)
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w)
	index := q.index
	if index == 0 {
		n.model.View(func(f *fleet.Fleet) { index = f.Index() })
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var batches []nomadapi.Events
		var changed <-chan struct{}
		n.model.View(func(f *fleet.Fleet) {
			batches, index = n.since(f, index, q, want)
			changed = n.model.Changed()
		})
		for _, b := range batches {
			if err := json.NewEncoder(w).Encode(struct {
				Index  uint64
				Events []nomadapi.Event
			}{b.Index, b.Events}); err != nil {
				return
			}
		}
		if err := flush.Flush(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
			if _, err := fmt.Fprintln(w, "{}"); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// since is what happened after an index, a batch for each index.
func (n *Door) since(f *fleet.Fleet, index uint64, q *question, want topics) ([]nomadapi.Events, uint64) {
	list, _ := f.Events(index)
	var out []nomadapi.Events
	for _, e := range list {
		if !want.want(e) || (e.Namespace != "" && !q.sees(e.Namespace)) {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Index != e.Index {
			out = append(out, nomadapi.Events{Index: e.Index})
		}
		last := &out[len(out)-1]
		last.Events = append(last.Events, nomadapi.Event{
			Topic: nomadapi.Topic(e.Topic), Type: e.Type, Key: e.Key, FilterKeys: append([]string{}, e.Filter...), Index: e.Index, Payload: payload(f, e),
		})
	}
	return out, f.Index()
}

// payload is the thing that an event is about, as it is now.
func payload(f *fleet.Fleet, e fleet.Event) map[string]any {
	out := map[string]any{}
	switch e.Topic {
	case fleet.TopicJob:
		if j, err := f.Job(fleet.JobID{Namespace: e.Namespace, ID: e.Key}); err == nil {
			if job, err := toNomad(f, j); err == nil {
				out["Job"] = job
			}
		}
	case fleet.TopicAllocation:
		if a, err := f.Alloc(e.Key); err == nil {
			out["Allocation"] = toStub(a, true)
		}
	case fleet.TopicDeployment:
		if d, err := f.Deployment(e.Key); err == nil {
			out["Deployment"] = toDeployment(d)
		}
	case fleet.TopicEvaluation:
		if ev, err := f.Evaluation(e.Key); err == nil {
			out["Evaluation"] = toEvaluation(ev)
		}
	case fleet.TopicNode:
		if node, err := f.Node(e.Key); err == nil {
			out["Node"] = toNode(node)
		}
	}
	return out
}

// offset reads where in a text to begin: from its start or its end.
func offset(r *http.Request, length int) (int, error) {
	at, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("offset"), "0"))
	if err != nil || at < 0 {
		return 0, answer(http.StatusBadRequest, "error parsing offset")
	}
	at = min(at, length)
	if r.URL.Query().Get("origin") == "end" {
		at = length - at
	}
	return at, nil
}
