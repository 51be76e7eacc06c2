package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// oakumNomadPolicy lets the daemon see everything and change jobs.
const oakumNomadPolicy = `
namespace "*" {
  policy       = "read"
  capabilities = ["submit-job", "dispatch-job", "scale-job", "alloc-lifecycle", "read-logs", "read-fs", "read-job-scaling"]
}
node {
  policy = "read"
}
agent {
  policy = "read"
}
operator {
  policy = "read"
}
`

func (s *Stack) nomad() endpoint {
	return endpoint{"http://" + loopback(s.ports().NomadHTTP), "X-Nomad-Token", s.described.Secrets.NomadBootstrap}
}

// nomadReady is nil when there is a leader and a keyring: a client that
// registers before the keyring exists waits fifteen seconds for its next try.
func (s *Stack) nomadReady(ctx context.Context) error {
	var leader string
	if err := s.nomad().call(ctx, http.MethodGet, "/v1/status/leader", nil, &leader); err != nil {
		return err
	}
	if leader == "" {
		return errors.New("no leader yet")
	}
	var keys struct {
		Keys []struct{ Kid string } `json:"keys"`
	}
	if err := s.nomad().call(ctx, http.MethodGet, "/.well-known/jwks.json", nil, &keys); err != nil {
		return err
	}
	if len(keys.Keys) == 0 {
		return errors.New("no keyring yet")
	}
	return nil
}

// clientReady is nil when the server holds the client to be ready and its drivers
// work.
func (s *Stack) clientReady(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		var nodes []struct {
			Name, Status string
			Drivers      map[string]struct{ Healthy bool }
		}
		if err := s.nomad().call(ctx, http.MethodGet, "/v1/nodes?resources=false", nil, &nodes); err != nil {
			return err
		}
		for _, node := range nodes {
			if ClientNode(node.Name) != name {
				continue
			}
			if node.Status != "ready" {
				return fmt.Errorf("node %s is %s", node.Name, node.Status)
			}
			drivers := []string{"raw_exec", "qemu"}
			if s.described.Options.Containers {
				drivers = append(drivers, "docker", "exec")
			}
			for _, driver := range drivers {
				if !node.Drivers[driver].Healthy {
					return fmt.Errorf("driver %s of node %s is not healthy", driver, node.Name)
				}
			}
			return nil
		}
		return errors.New("it has not registered yet")
	}
}

// ClientNode returns the component name behind a Nomad node's name.
func ClientNode(node string) string {
	var i int
	if _, err := fmt.Sscanf(node, "node-%d", &i); err != nil {
		return ""
	}
	return ClientName(i)
}

// nomadPolicies bootstraps the ACLs and writes the daemon's policy.
func (s *Stack) nomadPolicies(ctx context.Context) error {
	bare := s.nomad()
	bare.token = ""
	secret := map[string]string{"BootstrapSecret": s.described.Secrets.NomadBootstrap}
	if err := bare.call(ctx, http.MethodPost, "/v1/acl/bootstrap", secret, nil); err != nil {
		return fmt.Errorf("bootstrap nomad's access control: %w", err)
	}
	policy := map[string]string{"Name": oakumRole, "Description": "Oakum's servers", "Rules": oakumNomadPolicy}
	if err := s.nomad().call(ctx, http.MethodPost, "/v1/acl/policy/"+oakumRole, policy, nil); err != nil {
		return fmt.Errorf("write nomad policy: %w", err)
	}
	return nil
}

// job is what teardown needs to know of a job.
type job struct{ ID, Namespace string }

// stopJobs stops every job and waits until their tasks ended.
func (s *Stack) stopJobs(ctx context.Context) error {
	var jobs []job
	if err := s.nomad().call(ctx, http.MethodGet, "/v1/jobs?namespace=*", nil, &jobs); err != nil {
		return fmt.Errorf("list jobs: %w", err)
	}
	var failed []error
	for _, j := range jobs {
		query := url.Values{"namespace": {j.Namespace}}
		err := s.nomad().call(ctx, http.MethodDelete, "/v1/job/"+url.PathEscape(j.ID)+"?"+query.Encode(), nil, nil)
		if err != nil && !isStatus(err, http.StatusNotFound) {
			failed = append(failed, fmt.Errorf("stop job %s: %w", j.ID, err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, settle, fmt.Errorf("tasks still run after %s", settle))
	defer cancel()
	return poll(ctx, "the end of the tasks", func(ctx context.Context) error {
		var allocs []struct{ ID, ClientStatus string }
		if err := s.nomad().call(ctx, http.MethodGet, "/v1/allocations?namespace=*", nil, &allocs); err != nil {
			return &stopError{err}
		}
		for _, a := range allocs {
			if a.ClientStatus == "running" || a.ClientStatus == "pending" {
				return fmt.Errorf("allocation %s is %s", a.ID, a.ClientStatus)
			}
		}
		return nil
	})
}
