package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/config"
)

// agent is Consul's, as far as it takes registrations: it wants a token.
type agent struct {
	mu       sync.Mutex
	services map[string]struct {
		Tags []string
		Meta map[string]string
	}
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Header.Get("X-Consul-Token") != secretConsul {
		http.Error(w, "Permission denied", http.StatusForbidden)
		return
	}
	switch {
	case r.URL.Path == "/v1/agent/service/register":
		var in struct {
			ID   string
			Tags []string
			Meta map[string]string
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			http.Error(w, "bad body", http.StatusBadRequest)
			return
		}
		a.services[in.ID] = struct {
			Tags []string
			Meta map[string]string
		}{in.Tags, in.Meta}
	case strings.HasPrefix(r.URL.Path, "/v1/agent/service/deregister/"):
		delete(a.services, strings.TrimPrefix(r.URL.Path, "/v1/agent/service/deregister/"))
	default:
		http.NotFound(w, r)
	}
}

// tells reports whether a service is registered with a tag, as a member.
func (a *agent) tells(id, tag string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.services[id]
	return ok && slices.Contains(s.Tags, tag) && s.Meta["member"] == "true"
}

func TestServer_IsRegisteredInConsulWhileItRuns(t *testing.T) {
	t.Parallel()
	consul := &agent{services: map[string]struct {
		Tags []string
		Meta map[string]string
	}{}}
	web := httptest.NewServer(consul)
	t.Cleanup(web.Close)
	s := dev(t, func(c *config.Config) {
		c.Consul.Address, c.Consul.Register, c.Consul.Tags = web.URL, true, []string{"blue"}
		c.Advertise.HTTP = "127.0.0.1:4740"
	})
	wait.For(t, "the leader's registration", func() bool { return consul.tells("oakum-dev", "leader") && consul.tells("oakum-dev", "blue") })
	must.NoError(t, s.Stop())
	must.MapEmpty(t, consul.services)
}

func TestIgnored_HasTheServersOwnService(t *testing.T) {
	cfg := &config.Config{Consul: &config.Consul{ServiceName: "oakum-east"}}
	s := &Server{cfg: cfg}
	must.SliceContains(t, s.ignored(), "oakum-east")
	must.SliceContains(t, s.ignored(), "consul")
	cfg.Mapper.Ignore = []string{"only-this"}
	must.Eq(t, []string{"only-this"}, s.ignored())
}
