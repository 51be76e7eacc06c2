package consul

import (
	"context"
	"net/http"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/internal/fleet/mesh"
)

// probe is a check by HTTP of something that was registered by hand. It is made
// when somebody reads checks and the last one is old enough, so that nothing runs
// on its own.
type probe struct {
	url             string
	every, patience time.Duration
	last            time.Time
}

// probe keeps a check that is made by HTTP; others are reported.
func (c *Door) probe(id string, k *consulapi.AgentServiceCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.probes, id)
	if k.HTTP == "" {
		return
	}
	p := &probe{url: k.HTTP, every: 10 * time.Second, patience: 10 * time.Second}
	if d, err := time.ParseDuration(k.Interval); err == nil {
		p.every = d
	}
	if d, err := time.ParseDuration(k.Timeout); err == nil {
		p.patience = d
	}
	c.probes[id] = p
}

// due lists the checks that are to be made now, and takes them as made.
func (c *Door) due(now time.Time) map[string]probe {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]probe{}
	for id, p := range c.probes {
		if now.Sub(p.last) >= p.every {
			p.last = now
			out[id] = *p
		}
	}
	return out
}

// probed makes the checks that are due before an answer is given.
func (c *Door) probed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for id, p := range c.due(time.Now()) {
			status, output := p.ask(r.Context())
			// What has been taken out in the meantime has no check any more.
			c.Mesh(func(m *mesh.Mesh) { _ = m.Report(id, status, output) })
		}
		next(w, r)
	}
}

func (p probe) ask(ctx context.Context) (status, output string) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return mesh.Critical, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return mesh.Critical, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return mesh.Passing, "HTTP GET " + p.url + ": " + resp.Status
	case resp.StatusCode == http.StatusTooManyRequests:
		return mesh.Warning, "HTTP GET " + p.url + ": " + resp.Status
	}
	return mesh.Critical, "HTTP GET " + p.url + ": " + resp.Status
}
