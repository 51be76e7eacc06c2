package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Rules of Consul's policies, by the name of the policy.
const (
	consulNomadRules = `
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
service_prefix "" { policy = "write" }
`
	consulPrometheusRules = `
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
service_prefix "" { policy = "read" }
`
	// A workload registers itself and its sidecar, gets its leaf certificate
	// and asks whether a caller may enter.
	consulMeshRules = `
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
service_prefix "" {
  policy     = "write"
  intentions = "read"
}
`
	// Oakum reads services, nodes, intentions and configuration entries, and
	// registers itself.
	consulOakumRules = `
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
service_prefix "" {
  policy     = "read"
  intentions = "read"
}
service_prefix "oakum" { policy = "write" }
mesh = "read"
operator = "read"
`
)

func (s *Stack) consul() endpoint {
	return endpoint{"http://" + loopback(s.ports().ConsulHTTP), "X-Consul-Token", s.described.Secrets.ConsulManagement}
}

// consulReady is nil when there is a leader that knows the management token.
func (s *Stack) consulReady(ctx context.Context) error {
	var leader string
	if err := s.consul().call(ctx, http.MethodGet, "/v1/status/leader", nil, &leader); err != nil {
		return err
	}
	if leader == "" {
		return errors.New("no leader yet")
	}
	if err := s.consul().call(ctx, http.MethodGet, "/v1/acl/token/self", nil, nil); err != nil {
		return err
	}
	// The catalog serves services only once the server itself is in it.
	var nodes []struct{ Node string }
	if err := s.consul().call(ctx, http.MethodGet, "/v1/catalog/nodes", nil, &nodes); err != nil {
		return err
	}
	if len(nodes) == 0 {
		return errors.New("the catalog is empty")
	}
	return nil
}

// consulTokens makes the policies and the tokens of Nomad, Prometheus and the
// workloads, and the role that Oakum's logins get.
func (s *Stack) consulTokens(ctx context.Context) error {
	secret := s.described.Secrets
	for _, grant := range []struct{ name, rules, token string }{
		{"nomad-agent", consulNomadRules, secret.ConsulNomad},
		{"prometheus", consulPrometheusRules, secret.ConsulPrometheus},
		{"mesh-workload", consulMeshRules, secret.ConsulMesh},
		{oakumRole, consulOakumRules, ""},
	} {
		policy := map[string]string{"Name": grant.name, "Rules": grant.rules}
		if err := s.consul().call(ctx, http.MethodPut, "/v1/acl/policy", policy, nil); err != nil {
			return fmt.Errorf("write consul policy %s: %w", grant.name, err)
		}
		if grant.token == "" {
			continue
		}
		token := map[string]any{"SecretID": grant.token, "Description": grant.name, "Policies": []any{map[string]string{"Name": grant.name}}}
		if err := s.consul().call(ctx, http.MethodPut, "/v1/acl/token", token, nil); err != nil {
			return fmt.Errorf("make consul token %s: %w", grant.name, err)
		}
	}
	role := map[string]any{"Name": oakumRole, "Policies": []any{map[string]string{"Name": oakumRole}}}
	if err := s.consul().call(ctx, http.MethodPut, "/v1/acl/role", role, nil); err != nil {
		return fmt.Errorf("write consul role: %w", err)
	}
	return nil
}

// intentionWait is how long one blocking query on intentions may wait; it must
// stay below the minute after which the agent's cache drops an idle entry.
const intentionWait = 55 * time.Second

// KeepIntentionsFresh makes the mesh proxies of the given destinations follow
// every change of intentions, until ctx ends; the returned function waits for
// the loops.
//
// Consul 1.22.5's built-in proxy asks its agent for authorization, and the
// agent answers from a cache entry whose background refresh ends with the HTTP
// request that made it. A blocking query that is always open on the very same
// entry (same three-part name, same token as the proxies) keeps it fresh.
func (e Env) KeepIntentionsFresh(ctx context.Context, services ...string) (wait func()) {
	var loops sync.WaitGroup
	for _, service := range services {
		loops.Go(func() { e.keepFresh(ctx, service) })
	}
	return loops.Wait
}

func (e Env) keepFresh(ctx context.Context, service string) {
	// After an error, as when Consul is away, the next try waits this long.
	const pause = 250 * time.Millisecond
	index := "0"
	for ctx.Err() == nil {
		next, err := e.matchIntentions(ctx, service, index)
		if err == nil && next != "" {
			index = next
			continue
		}
		index = "0"
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (e Env) matchIntentions(ctx context.Context, service, index string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, intentionWait+callTimeout)
	defer cancel()
	query := url.Values{
		"by": {"destination"}, "name": {"default/default/" + service},
		"index": {index}, "wait": {intentionWait.String()},
	}
	target := e.ConsulAddr + "/v1/connect/intentions/match?cached&" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", fmt.Errorf("match intentions of %s: %w", service, err)
	}
	request.Header.Set("X-Consul-Token", e.ConsulMeshToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("match intentions of %s: %w", service, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("match intentions of %s: status %s", service, answer.Status)
	}
	return answer.Header.Get("X-Consul-Index"), nil
}
