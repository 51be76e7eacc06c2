//go:build e2e

package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/vault/login"
	"github.com/oakumhq/oakum/internal/wait"
)

// real is a Vault in development mode with what Oakum needs set up in it.
type real struct {
	address string
	root    *vaultapi.Client
	alice   string // a Vault token with an entity
	dir     string
}

// startVault runs the real Vault on a free loopback port until the test ends.
func startVault(t *testing.T) *real {
	t.Helper()
	binary, err := filepath.Abs("../../.stack/bin/vault")
	must.NoError(t, err)
	port, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	address := port.Addr().String()
	must.NoError(t, port.Close())

	dir := t.TempDir()
	var log bytes.Buffer
	cmd := exec.Command(binary, "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-listen-address="+address)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.Stdout, cmd.Stderr = &log, &log
	must.NoError(t, cmd.Start(), must.Sprint("make stack builds the real Vault"))
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("vault said:\n%s", log.String())
		}
	})
	r := &real{address: "http://" + address, dir: dir}
	conf := vaultapi.DefaultConfig()
	conf.Address, conf.MaxRetries = r.address, 0
	r.root, err = vaultapi.NewClient(conf)
	must.NoError(t, err)
	r.root.SetToken("root")
	wait.For(t, "vault is unsealed", func() bool {
		health, err := r.root.Sys().Health()
		return err == nil && health.Initialized && !health.Sealed
	})
	r.setUp(t)
	return r
}

func (r *real) write(t *testing.T, path string, body map[string]any) map[string]any {
	t.Helper()
	secret, err := r.root.Logical().Write(path, body)
	must.NoError(t, err, must.Sprint(path))
	if secret == nil {
		return nil
	}
	return secret.Data
}

// setUp makes an AppRole for the daemon, a person in a group, and a role that
// signs identity tokens for both.
func (r *real) setUp(t *testing.T) {
	t.Helper()
	must.NoError(t, r.root.Sys().PutPolicy("oakum", `
path "identity/oidc/token/oakum" { capabilities = ["read"] }
path "identity/entity/id/*"      { capabilities = ["read"] }
path "identity/group/id/*"       { capabilities = ["read"] }`))
	must.NoError(t, r.root.Sys().EnableAuthWithOptions("approle", &vaultapi.EnableAuthOptions{Type: "approle"}))
	must.NoError(t, r.root.Sys().EnableAuthWithOptions("userpass", &vaultapi.EnableAuthOptions{Type: "userpass"}))
	r.write(t, "auth/approle/role/oakum", map[string]any{"token_policies": "oakum"})
	role, err := r.root.Logical().Read("auth/approle/role/oakum/role-id")
	must.NoError(t, err)
	secret := r.write(t, "auth/approle/role/oakum/secret-id", nil)
	r.file(t, "role-id", role.Data["role_id"])
	r.file(t, "secret-id", secret["secret_id"])

	r.write(t, "identity/oidc/config", map[string]any{"issuer": r.address})
	r.write(t, "identity/oidc/key/k1", map[string]any{"algorithm": "ES256", "allowed_client_ids": "*"})
	r.write(t, "identity/oidc/role/oakum", map[string]any{
		"key": "k1", "ttl": "15m", "client_id": "oakum",
		"template": `{"team": {{identity.entity.metadata.team}}, "groups": {{identity.entity.groups.names}}, "username": {{identity.entity.name}}, "nbf": {{time.now}}}`,
	})
	r.write(t, "auth/userpass/users/alice", map[string]any{"password": "x", "token_policies": "oakum"})
	mounts, err := r.root.Sys().ListAuth()
	must.NoError(t, err)
	entity := r.write(t, "identity/entity", map[string]any{"name": "alice", "metadata": map[string]any{"team": "platform"}})
	r.write(t, "identity/entity-alias", map[string]any{
		"name": "alice", "canonical_id": entity["id"], "mount_accessor": mounts["userpass/"].Accessor,
	})
	r.write(t, "identity/group", map[string]any{"name": "deployers", "member_entity_ids": []any{entity["id"]}})
	login, err := r.root.Logical().Write("auth/userpass/login/alice", map[string]any{"password": "x"})
	must.NoError(t, err)
	r.alice = login.Auth.ClientToken
}

func (r *real) file(t *testing.T, name string, value any) {
	t.Helper()
	must.NoError(t, os.WriteFile(filepath.Join(r.dir, name), []byte(fmt.Sprint(value)+"\n"), 0o600))
}

func (r *real) client(t *testing.T) *Client {
	t.Helper()
	c, err := New(Config{
		Address: r.address, RoleIDFile: filepath.Join(r.dir, "role-id"), SecretIDFile: filepath.Join(r.dir, "secret-id"),
	})
	must.NoError(t, err)
	return c
}

func (r *real) authenticator(t *testing.T, c *Client) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(AuthConfig{
		Issuer: r.address + "/v1/identity/oidc", Audience: "oakum", JWKS: r.address + "/v1/identity/oidc/.well-known/keys",
		VaultTokens: true, Grant: grantPlatform,
	}, c)
	must.NoError(t, err)
	return a
}

func TestRealVault(t *testing.T) {
	r := startVault(t)
	c := r.client(t)
	must.NoError(t, c.Login(t.Context()))
	a := r.authenticator(t, c)
	aliceClient, err := r.root.Clone()
	must.NoError(t, err)
	aliceClient.SetToken(r.alice)
	signed := func() string {
		secret, err := aliceClient.Logical().Read("identity/oidc/token/oakum")
		must.NoError(t, err)
		return secret.Data["token"].(string)
	}
	want := api.Identity{
		Name: "alice", Via: "jwt", Groups: []string{"deployers"},
		Capabilities: []api.Capability{api.CapPatchSubmit, api.CapRead}, Grants: platform(),
	}

	t.Run("login", func(t *testing.T) {
		person, err := login.New(login.Config{Address: r.address})
		must.NoError(t, err)
		_, err = person.Password(t.Context(), "userpass", "alice", "wrong")
		must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
		token, err := person.Password(t.Context(), "userpass", "alice", "x")
		must.NoError(t, err)
		must.True(t, token.Expires.After(time.Now()))
		id, err := a.Authenticate(t.Context(), token.Token)
		must.NoError(t, err)
		must.Eq(t, "vault-token", id.Via)
		identity, err := person.Identity(t.Context(), token, "oakum")
		must.NoError(t, err)
		must.True(t, identity.Expires.After(time.Now()))
		id, err = a.Authenticate(t.Context(), identity.Token)
		must.NoError(t, err)
		must.Eq(t, "alice", id.Name)
		must.Eq(t, "jwt", id.Via)
		_, err = person.Identity(t.Context(), token, "other")
		must.Error(t, err)
	})

	subject := "" // of both: one person
	t.Run("identity token", func(t *testing.T) {
		id, err := a.Authenticate(t.Context(), signed())
		must.NoError(t, err)
		must.NotEq(t, "", id.Subject)
		subject = id.Subject
		want := want
		must.True(t, id.Expires.After(time.Now()), must.Sprint(id.Expires))
		want.Subject, want.Expires = subject, id.Expires
		must.Eq(t, want, id)
	})
	t.Run("vault token", func(t *testing.T) {
		id, err := a.Authenticate(t.Context(), r.alice)
		must.NoError(t, err)
		want := want
		must.True(t, id.Expires.After(time.Now()), must.Sprint(id.Expires))
		want.Via, want.Subject, want.Expires = "vault-token", subject, id.Expires
		must.Eq(t, want, id)
		_, err = a.Authenticate(t.Context(), "hvs.unknown")
		must.True(t, api.IsCode(err, api.CodeUnauthenticated), must.Sprint(err))
	})
	t.Run("rotation", func(t *testing.T) {
		old := signed()
		r.write(t, "identity/oidc/key/k1/rotate", nil)
		fresh := r.authenticator(t, c)
		for _, token := range []string{old, signed()} {
			_, err := fresh.Authenticate(t.Context(), token)
			must.NoError(t, err)
		}
	})
	t.Run("no entity", func(t *testing.T) {
		id, err := a.Authenticate(t.Context(), "root") // its display name is token
		must.NoError(t, err)
		must.Eq(t, api.Identity{Name: "token", Via: "vault-token", Capabilities: []api.Capability{}, Grants: []api.Grant{}}, id)
	})
	t.Run("wrong secret", func(t *testing.T) {
		r.file(t, "wrong", "nope")
		bad, err := New(Config{
			Address: r.address, RoleIDFile: filepath.Join(r.dir, "role-id"), SecretIDFile: filepath.Join(r.dir, "wrong"),
		})
		must.NoError(t, err)
		must.ErrorContains(t, bad.Login(t.Context()), "invalid role or secret ID")
	})
}

// The login outlives its greatest lifetime, by renewals and then by a new login.
func TestRealVault_KeepsTheLogin(t *testing.T) {
	r := startVault(t)
	r.write(t, "auth/approle/role/oakum", map[string]any{"token_ttl": "6s", "token_max_ttl": "12s"})
	c := r.client(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	wait.For(t, "a login", func() bool { return c.api.Token() != "" })
	first := c.api.Token()
	wait.For(t, "another login", func() bool { return c.api.Token() != first }) // after token_max_ttl at the latest
	_, err := c.IdentityToken(t.Context(), "oakum")
	must.NoError(t, err)
	stop()
	must.NoError(t, <-ended)
}

// The real identity token is what Nomad and Consul are given.
func TestRealVault_FeedsSource(t *testing.T) {
	r := startVault(t)
	c := r.client(t)
	must.NoError(t, c.Login(t.Context()))
	a := r.authenticator(t, c)
	got := make(chan string, 1)
	nomad := http.NewServeMux()
	nomad.HandleFunc("POST /v1/acl/login", func(w http.ResponseWriter, req *http.Request) {
		var in struct{ AuthMethodName, LoginToken string }
		must.NoError(t, json.NewDecoder(req.Body).Decode(&in))
		got <- in.LoginToken
		must.NoError(t, json.NewEncoder(w).Encode(map[string]any{"SecretID": "nomad-token"}))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	web := &http.Server{Handler: nomad, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(l) }()
	t.Cleanup(func() { _ = web.Close(); <-done })

	s := c.NomadToken(Via{Address: "http://" + l.Addr().String(), AuthMethod: "vault", OIDCRole: "oakum"})
	must.NoError(t, s.Login(t.Context()))
	must.EqOp(t, "nomad-token", s.Token())
	id, err := a.Authenticate(t.Context(), <-got)
	must.NoError(t, err)
	must.EqOp(t, "jwt", id.Via)
}
