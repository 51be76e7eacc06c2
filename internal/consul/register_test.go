package consul_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/wait"
)

// local is a model of Consul's agent: it keeps services, and can be away.
type local struct {
	mu       sync.Mutex
	services map[string]object
	health   map[string]string
	away     bool
	writes   int
}

// ServeHTTP implements http.Handler.
func (l *local) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		http.Error(w, "agent is starting", http.StatusInternalServerError)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	switch {
	case path == "agent/service/register":
		var in object
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			http.Error(w, "bad body", http.StatusBadRequest)
			return
		}
		l.writes++
		l.services[in["ID"].(string)] = in
	case strings.HasPrefix(path, "agent/service/deregister/"):
		delete(l.services, strings.TrimPrefix(path, "agent/service/deregister/"))
	case strings.HasPrefix(path, "agent/check/update/"):
		var in object
		_ = json.NewDecoder(r.Body).Decode(&in) // an empty status fails the test
		l.health[strings.TrimPrefix(path, "agent/check/update/")], _ = in["Status"].(string)
	case strings.HasPrefix(path, "agent/service/"):
		found, ok := l.services[strings.TrimPrefix(path, "agent/service/")]
		if !ok {
			http.Error(w, "unknown service ID", http.StatusNotFound)
			return
		}
		answer := object{"ID": found["ID"], "Service": found["Name"], "Tags": found["Tags"], "Meta": found["Meta"], "Port": found["Port"], "Address": found["Address"]}
		if answer["Address"] == nil {
			answer["Address"] = ""
		}
		_ = json.NewEncoder(w).Encode(answer)
	case strings.HasPrefix(path, "catalog/service/"):
		list := []object{}
		for _, s := range l.services {
			if s["Name"] == strings.TrimPrefix(path, "catalog/service/") {
				list = append(list, object{"ServiceID": s["ID"], "ServiceMeta": s["Meta"]})
			}
		}
		_ = json.NewEncoder(w).Encode(list)
	default:
		http.Error(w, "no such path", http.StatusNotFound)
	}
}

func (l *local) look(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// tags of a service, nil when it is not registered.
func (l *local) tags(id string) (out []string) {
	l.look(func() {
		list, _ := l.services[id]["Tags"].([]any)
		for _, tag := range list {
			out = append(out, tag.(string))
		}
	})
	return out
}

func newLocal(t *testing.T) (*local, *consul.Client) {
	t.Helper()
	l := &local{services: map[string]object{}, health: map[string]string{}}
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	c, err := consul.New(consul.Config{Address: s.URL, Timeout: 2 * time.Second})
	must.NoError(t, err)
	return l, c
}

// subject is a server whose role changes.
type subject struct {
	mu      sync.Mutex
	role    string
	ready   bool
	changed chan struct{}
	health  string
}

func (s *subject) become(role string, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.role, s.ready = role, ready
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *subject) registrar(logger *slog.Logger) consul.Registrar {
	return consul.Registrar{
		Describe: func() consul.Registration {
			s.mu.Lock()
			defer s.mu.Unlock()
			return consul.Registration{
				Service: "oakum", Server: "oak-1", Tags: []string{s.role, "blue"}, HTTP: "0.0.0.0:4740", Raft: "10.0.0.1:4741",
				Version: "1.2", Cluster: "prod", Member: s.ready, Health: s.health,
			}
		},
		Changed: func() <-chan struct{} {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.changed
		},
		Report: func() (bool, string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.ready, "no leader"
		},
		Logger: logger, Every: 10 * time.Millisecond,
	}
}

func TestKeepRegistered_KeepsAServerRegisteredAsItIs(t *testing.T) {
	t.Parallel()
	agent, client := newLocal(t)
	var out bytes.Buffer
	s := &subject{role: "follower", changed: make(chan struct{})}
	agent.look(func() { agent.away = true })
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = client.KeepRegistered(ctx, s.registrar(slog.New(slog.NewTextHandler(&out, nil)))) })

	t.Log("an agent that is away is told when it is back")
	agent.look(func() { agent.away = false })
	wait.For(t, "the registration", func() bool { return slices.Equal(agent.tags("oakum-oak-1"), []string{"follower", "blue"}) })
	wait.For(t, "the report", func() (told bool) {
		agent.look(func() { told = agent.health["service:oakum-oak-1"] == "critical" })
		return told
	})
	agent.look(func() {
		got := agent.services["oakum-oak-1"]
		must.Eq(t, any(object{
			"version": "1.2", "server": "oak-1", "cluster": "prod", "raft_address": "10.0.0.1:4741", "member": "false",
		}), got["Meta"])
		must.Eq(t, any(float64(4740)), got["Port"])
		must.Nil(t, got["Address"])
		must.Eq(t, any("30s"), got["Check"].(object)["TTL"])
	})

	t.Log("a change of leadership shows")
	s.become("leader", true)
	wait.For(t, "the leader's tag", func() bool { return slices.Equal(agent.tags("oakum-oak-1"), []string{"leader", "blue"}) })
	wait.For(t, "the report", func() (told bool) {
		agent.look(func() { told = agent.health["service:oakum-oak-1"] == "passing" })
		return told
	})

	t.Log("an agent that forgot is told again, one that knows is not")
	agent.look(func() { clear(agent.services) })
	wait.For(t, "the registration", func() bool { return agent.tags("oakum-oak-1") != nil })
	var writes int
	agent.look(func() { writes = agent.writes })
	quiet := time.NewTimer(100 * time.Millisecond)
	<-quiet.C
	agent.look(func() { must.Eq(t, writes, agent.writes) })

	t.Log("a server that stops takes its leave")
	stop()
	running.Wait()
	must.Nil(t, agent.tags("oakum-oak-1"))
	must.LessEq(t, 1, strings.Count(out.String(), "level=WARN"))
}

func TestKeepRegistered_LetsConsulAskWhereItCan(t *testing.T) {
	t.Parallel()
	agent, client := newLocal(t)
	s := &subject{role: "leader", changed: make(chan struct{}), health: "http://10.0.0.1:4740/v1/health"}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = client.KeepRegistered(ctx, s.registrar(slog.New(slog.DiscardHandler))) })
	wait.For(t, "the registration", func() bool { return agent.tags("oakum-oak-1") != nil })
	agent.look(func() {
		check := agent.services["oakum-oak-1"]["Check"].(object)
		must.Eq(t, any("http://10.0.0.1:4740/v1/health"), check["HTTP"])
		must.Eq(t, any("10s"), check["Interval"])
		must.Nil(t, check["TTL"])
		must.MapEmpty(t, agent.health)
	})
	stop()
	running.Wait()
}

func TestPeers_ListsThemWhateverTheirHealth(t *testing.T) {
	t.Parallel()
	agent, client := newLocal(t)
	agent.services["oakum-a"] = object{"ID": "oakum-a", "Name": "oakum", "Meta": object{"raft_address": "10.0.0.1:4741", "member": "true"}}
	agent.services["web"] = object{"ID": "web", "Name": "web"}
	agent.services["odd"] = object{"ID": "odd", "Name": "oakum"}
	peers, err := client.Peers(t.Context(), "oakum", "", "")
	must.NoError(t, err)
	must.Eq(t, []consul.Peer{{Address: "10.0.0.1:4741", Member: true}}, peers)

	agent.look(func() { agent.away = true })
	_, err = client.Peers(t.Context(), "oakum", "", "")
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
}
