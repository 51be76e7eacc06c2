//go:build e2e

package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// testTimeout bounds every wait of these tests; each takes seconds on an idle
// machine, and other tests may run beside them.
const testTimeout = 5 * time.Minute

// establish starts a stack of the test's own, on ports that nobody uses.
func establish(t *testing.T) *Stack {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	s, err := Up(ctx, Options{Dir: t.TempDir(), PortOffset: AnyOffset, Bound: true, Log: testLog{t}})
	must.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		must.NoError(t, s.Down(ctx))
		s.log = os.Stderr // no more of this test's log
	})
	return s
}

type testLog struct{ t *testing.T }

// Write logs one line of progress.
func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}

func eventually(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	must.NoError(t, poll(ctx, what, try))
}

// hello is a job of two raw_exec tasks with a service in Consul, as an
// operator would write it: it names no identity and no token.
const hello = `{"Job": {"ID": "hello", "Name": "hello", "Type": "service", "Datacenters": ["*"], "TaskGroups": [{
  "Name": "g", "Count": 2,
  "Networks": [{"DynamicPorts": [{"Label": "http"}]}],
  "Services": [{"Name": "hello", "Provider": "consul", "PortLabel": "http", "Tags": ["metrics"],
    "Meta": {"oakum_job": "hello", "oakum_group": "g", "oakum_namespace": "default"},
    "Checks": [{"Type": "tcp", "Interval": 1000000000, "Timeout": 1000000000}]}],
  "Tasks": [{"Name": "t", "Driver": "raw_exec",
    "Config": {"command": "/bin/busybox", "args": ["httpd", "-f", "-p", "127.0.0.1:${NOMAD_PORT_http}", "-h", "/usr/share"]},
    "Resources": {"CPU": 50, "MemoryMB": 32}}]}]}}`

func (s *Stack) submitHello(t *testing.T) {
	t.Helper()
	must.NoError(t, s.nomad().call(t.Context(), http.MethodPut, "/v1/jobs", json.RawMessage(hello), nil))
	eventually(t, "two healthy instances in consul", s.helloHealthy)
}

func (s *Stack) helloHealthy(ctx context.Context) error {
	workload := s.consul()
	workload.token = s.Env().ConsulMeshToken
	var found []struct{ Service struct{ ID string } }
	if err := workload.call(ctx, http.MethodGet, "/v1/health/service/hello?passing", nil, &found); err != nil {
		return err
	}
	if len(found) != 2 {
		return fmt.Errorf("%d instances pass", len(found))
	}
	for _, f := range found {
		if allocOf(f.Service.ID) == "" {
			return &stopError{fmt.Errorf("service ID %q names no allocation", f.Service.ID)}
		}
	}
	return nil
}

// series counts the series that a query finds in Prometheus.
func (s *Stack) series(ctx context.Context, query string) (int, error) {
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	prometheus := endpoint{base: s.Env().PrometheusAddr}
	err := prometheus.call(ctx, http.MethodGet, "/api/v1/query?"+url.Values{"query": {query}}.Encode(), nil, &answer)
	return len(answer.Data.Result), err
}

func (s *Stack) wantSeries(query string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := s.series(ctx, query)
		if err == nil && got != want {
			err = fmt.Errorf("%d series of %s, want %d", got, query, want)
		}
		return err
	}
}

// TestStack_life walks one stack through its life: a job registers in Consul
// with the agent's token, Prometheus sees it, Consul goes away and comes back
// with what it knew, another process ends everything.
func TestStack_life(t *testing.T) {
	s := establish(t)
	s.submitHello(t)

	eventually(t, "nomad's metrics", s.wantSeries(`nomad_client_allocs_memory_rss{job="hello",task_group="g"}`, 2))
	eventually(t, "discovery of the services", s.wantSeries(`up{service="hello",job_name="hello",group="g",namespace="default",alloc_id=~".{36}"}`, 2))

	must.NoError(t, s.Stop(t.Context(), Consul))
	_, running := s.Running(Consul)
	must.False(t, running)
	must.Error(t, s.helloHealthy(t.Context()))
	must.NoError(t, s.Start(t.Context(), Consul))
	eventually(t, "the same instances after consul's restart", s.helloHealthy)

	second, err := Up(t.Context(), s.described.Options)
	must.ErrorContains(t, err, "already runs")
	must.Nil(t, second)

	other, err := Open(s.path()) // as another process would
	must.NoError(t, err)
	must.Eq(t, s.Env(), other.Env())
	must.NoError(t, other.Down(t.Context()))
	s.leavesNothing(t)
}

// leavesNothing asks the kernel, not the stack.
func (s *Stack) leavesNothing(t *testing.T) {
	t.Helper()
	found, err := leftovers(s.path())
	must.NoError(t, err)
	must.SliceEmpty(t, found)
	mounts, err := mountsBelow(s.path())
	must.NoError(t, err)
	must.SliceEmpty(t, mounts)
	must.Eq(t, 0, busyPort(s.ports(), s.described.Options.Clients))
}

// machine is a job of one virtual machine with an empty disk: its firmware
// finds nothing to boot and goes on looking.
const machine = `{"Job": {"ID": "machine", "Name": "machine", "Type": "service", "Datacenters": ["*"], "TaskGroups": [{
  "Name": "g", "Count": 1, "Tasks": [{"Name": "vm", "Driver": "qemu",
    "Config": {"image_path": %q, "emulator": "x86_64", "drive_interface": "virtio", "args": ["-nic", "none"]},
    "Resources": {"CPU": 50, "MemoryMB": 128, "MemoryMaxMB": 400}}]}]}}`

func (s *Stack) submitMachine(t *testing.T) {
	t.Helper()
	image := s.path("empty.qcow2")
	text, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", image, "8M").CombinedOutput()
	must.NoError(t, err, must.Sprint(string(text)))
	job := json.RawMessage(fmt.Sprintf(machine, image))
	must.NoError(t, s.nomad().call(t.Context(), http.MethodPut, "/v1/jobs", job, nil))
	eventually(t, "a running machine", func(ctx context.Context) error {
		var allocs []struct{ ClientStatus string }
		if err := s.nomad().call(ctx, http.MethodGet, "/v1/job/machine/allocations", nil, &allocs); err != nil {
			return err
		}
		if len(allocs) != 1 || allocs[0].ClientStatus != "running" {
			return fmt.Errorf("allocations: %v", allocs)
		}
		return nil
	})
}

// TestStack_crash kills the agents, so that nobody ends the tasks in order.
func TestStack_crash(t *testing.T) {
	s := establish(t)
	s.submitHello(t)
	s.submitMachine(t)
	for _, name := range s.Components() {
		must.NoError(t, s.Kill(t.Context(), name))
	}
	found, err := leftovers(s.path())
	must.NoError(t, err)
	// Three executors and three tasks outlive their agent.
	must.GreaterEq(t, 6, len(found))
	must.NoError(t, Down(t.Context(), s.path()))
	s.leavesNothing(t)
}

// The kernel closes the leash of a process that is killed as this test does.
func TestStack_endsWithItsProcess(t *testing.T) {
	s := establish(t)
	s.submitHello(t)
	must.NoError(t, s.leash.Close())
	eventually(t, "the end of everything", func(context.Context) error {
		found, err := leftovers(s.path())
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("%d processes are left", len(found))
		}
		return err
	})
	s.leavesNothing(t)
}

// TestStack_restarts stops and starts what bad days are made of; each comes
// back with its state.
func TestStack_restarts(t *testing.T) {
	s := establish(t)
	s.submitHello(t)
	for _, name := range []string{NomadServer, ClientName(1), Vault, Prometheus} {
		must.NoError(t, s.Kill(t.Context(), name))
		must.NoError(t, s.Start(t.Context(), name))
	}
	eventually(t, "the instances after the restarts", s.helloHealthy)
	eventually(t, "metrics after the restarts", s.wantSeries(`nomad_client_allocs_memory_rss{job="hello"}`, 2))
	var allocs []struct{ ClientStatus string }
	must.NoError(t, s.nomad().call(t.Context(), http.MethodGet, "/v1/job/hello/allocations", nil, &allocs))
	must.Len(t, 2, allocs) // none was replaced
	_ = s.login(t, "oakum")
	must.ErrorContains(t, s.Stop(t.Context(), "nonsense"), "no such component")
}

// login returns a Vault token of an AppRole.
func (s *Stack) login(t *testing.T, role string) string {
	t.Helper()
	body := map[string]string{}
	for _, part := range []string{"role_id", "secret_id"} {
		text, err := os.ReadFile(s.described.Files[role+"_"+part])
		must.NoError(t, err)
		body[part] = string(text)
	}
	return s.vaultLogin(t, "auth/"+s.Env().AppRolePath+"/login", body)
}

func (s *Stack) vaultLogin(t *testing.T, path string, body any) string {
	t.Helper()
	var answer struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	bare := endpoint{base: s.Env().VaultAddr}
	must.NoError(t, bare.call(t.Context(), http.MethodPost, "/v1/"+path, body, &answer))
	must.NotEq(t, "", answer.Auth.ClientToken)
	return answer.Auth.ClientToken
}

// identity returns an identity token of the role, or why Vault refused.
func (s *Stack) identity(t *testing.T, vaultToken, role string) (string, error) {
	t.Helper()
	var answer struct{ Data struct{ Token string } }
	caller := endpoint{s.Env().VaultAddr, "X-Vault-Token", vaultToken}
	err := caller.call(t.Context(), http.MethodGet, "/v1/identity/oidc/token/"+role, nil, &answer)
	return answer.Data.Token, err
}

// TestStack_identities follows the daemon's way from its AppRole to Nomad and
// Consul, and shows that nobody else can go it.
func TestStack_identities(t *testing.T) {
	s := establish(t)
	env := s.Env()
	daemon := s.login(t, "oakum")

	jwt, err := s.identity(t, daemon, env.NomadOIDCRole)
	must.NoError(t, err)
	var nomad struct {
		SecretID string
		Policies []string
	}
	anonymous := endpoint{base: env.NomadAddr}
	login := map[string]string{"AuthMethodName": env.NomadAuthMethod, "LoginToken": jwt}
	must.NoError(t, anonymous.call(t.Context(), http.MethodPost, "/v1/acl/login", login, &nomad))
	must.Eq(t, []string{"oakum"}, nomad.Policies)
	as := endpoint{env.NomadAddr, "X-Nomad-Token", nomad.SecretID}
	must.NoError(t, as.call(t.Context(), http.MethodPut, "/v1/jobs", json.RawMessage(hello), nil))
	must.NoError(t, as.call(t.Context(), http.MethodGet, "/v1/nodes", nil, nil))
	must.True(t, isStatus(as.call(t.Context(), http.MethodGet, "/v1/acl/tokens", nil, nil), http.StatusForbidden))
	must.True(t, isStatus(anonymous.call(t.Context(), http.MethodGet, "/v1/nodes", nil, nil), http.StatusForbidden))

	jwt, err = s.identity(t, daemon, env.ConsulOIDCRole)
	must.NoError(t, err)
	var consul struct{ SecretID string }
	login = map[string]string{"AuthMethod": env.ConsulAuthMethod, "BearerToken": jwt}
	must.NoError(t, endpoint{base: env.ConsulAddr}.call(t.Context(), http.MethodPost, "/v1/acl/login", login, &consul))
	reader := endpoint{env.ConsulAddr, "X-Consul-Token", consul.SecretID}
	must.NoError(t, reader.call(t.Context(), http.MethodGet, "/v1/connect/intentions", nil, nil))
	must.NoError(t, reader.call(t.Context(), http.MethodGet, "/v1/config/service-intentions", nil, nil))
	deny := map[string]any{"Kind": "service-intentions", "Name": "b", "Sources": []any{map[string]string{"Name": "a", "Action": "deny"}}}
	must.True(t, isStatus(reader.call(t.Context(), http.MethodPut, "/v1/config", deny, nil), http.StatusForbidden))

	// A token for one audience opens no other door.
	must.Error(t, anonymous.call(t.Context(), http.MethodPost, "/v1/acl/login", map[string]string{"AuthMethodName": env.NomadAuthMethod, "LoginToken": jwt}, nil))

	pipeline := s.login(t, "pipeline")
	_, err = s.identity(t, pipeline, env.OIDCRole)
	must.NoError(t, err)
	_, err = s.identity(t, pipeline, env.NomadOIDCRole)
	must.True(t, isStatus(err, http.StatusForbidden), must.Sprint(err))
	for user, file := range map[string]string{"alice": env.AlicePasswordFile, "eve": env.EvePasswordFile} {
		password, err := os.ReadFile(file)
		must.NoError(t, err)
		token := s.vaultLogin(t, "auth/"+env.UserpassPath+"/login/"+user, map[string]string{"password": string(password)})
		_, err = s.identity(t, token, env.OIDCRole)
		must.NoError(t, err)
	}
}

// TestStack_keepIntentionsFresh checks that a proxy's authorization follows
// more changes than it would by itself.
func TestStack_keepIntentionsFresh(t *testing.T) {
	s := establish(t)
	ctx, cancel := context.WithCancel(t.Context())
	wait := s.Env().KeepIntentionsFresh(ctx, "b")
	defer wait()
	defer cancel()
	must.NoError(t, s.consul().call(t.Context(), http.MethodPut, "/v1/agent/service/register", map[string]any{"Name": "b", "Port": 1}, nil))
	proxy := s.consul()
	proxy.token = s.Env().ConsulMeshToken
	roots := struct{ TrustDomain string }{}
	must.NoError(t, proxy.call(t.Context(), http.MethodGet, "/v1/agent/connect/ca/roots", nil, &roots))
	question := map[string]string{
		"Target": "b", "ClientCertURI": "spiffe://" + roots.TrustDomain + "/ns/default/dc/dc1/svc/a", "ClientCertSerial": "01",
	}
	for i := range 12 {
		action := []string{"allow", "deny"}[i%2]
		change := map[string]string{"Action": action}
		must.NoError(t, s.consul().call(t.Context(), http.MethodPut, "/v1/connect/intentions/exact?source=a&destination=b", change, nil))
		eventually(t, fmt.Sprintf("change %d to %s", i, action), func(ctx context.Context) error {
			var answer struct{ Authorized bool }
			if err := proxy.call(ctx, http.MethodPost, "/v1/agent/connect/authorize", question, &answer); err != nil {
				return err
			}
			if answer.Authorized != (action == "allow") {
				return errors.New("the proxy's answer is stale")
			}
			return nil
		})
	}
}
