package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Names that Vault, Nomad and Consul agree on.
const (
	approlePath  = "approle"
	userpassPath = "userpass"
	authMethod   = "vault"  // of Nomad and of Consul
	oakumRole    = "oakum"  // identity/oidc role, audience, ACL policies and role
	nomadRole    = "nomad"  // identity/oidc role and audience
	consulRole   = "consul" // identity/oidc role and audience
	signingKey   = "oakum"
	pkiPath      = "pki"
	pkiRole      = "oakum-server" // signs the certificates of Oakum's servers
	// identityTTL is the lifetime of Oakum's own identity tokens and of the Nomad and
	// Consul tokens got with them: short, so that renewal is exercised.
	identityTTL = "15m"
	// callerTTL is that of the callers' tokens, who log in once for all they do.
	callerTTL = "2h"

	groupDeployers = "deployers"
	groupManagers  = "release-managers"
	groupServers   = "oakum-servers"
)

// claims is the template of the identity tokens.
const claims = `{"username": {{identity.entity.name}}, "groups": {{identity.entity.groups.names}}, ` +
	`"team": {{identity.entity.metadata.team}}, "nbf": {{time.now}}}`

// The policies of Vault. The daemon may resolve the entities and groups of its
// callers; a caller may only prove who it is.
const (
	vaultOakumRules = `
path "identity/oidc/token/nomad" { capabilities = ["read"] }
path "identity/oidc/token/consul" { capabilities = ["read"] }
path "identity/oidc/token/oakum" { capabilities = ["read"] }
path "identity/entity/id/*" { capabilities = ["read"] }
path "identity/group/id/*" { capabilities = ["read"] }
path "pki/sign/oakum-server" { capabilities = ["update"] }
`
	vaultCallerRules = `
path "identity/oidc/token/oakum" { capabilities = ["read"] }
`
)

func (s *Stack) issuer() string { return s.vault().base + "/v1/identity/oidc" }

func (s *Stack) jwks() string { return s.issuer() + "/.well-known/keys" }

// write is a write to Vault that returns the data of the answer.
func (s *Stack) write(ctx context.Context, path string, in any) (map[string]any, error) {
	var out struct{ Data map[string]any }
	if err := s.vault().call(ctx, http.MethodPost, "/v1/"+path, in, &out); err != nil {
		return nil, fmt.Errorf("write vault %s: %w", path, err)
	}
	return out.Data, nil
}

// identities sets up who may log in and what an identity token says.
func (s *Stack) identities(ctx context.Context) error {
	type object = map[string]any
	for _, put := range []struct {
		path string
		body object
	}{
		{"sys/auth/" + approlePath, object{"type": "approle"}},
		{"sys/auth/" + userpassPath, object{"type": "userpass"}},
		{"sys/mounts/" + pkiPath, object{"type": "pki", "config": object{"max_lease_ttl": "240h"}}},
		{pkiPath + "/root/generate/internal", object{"common_name": "Oakum servers' CA", "key_type": "ec", "ttl": "240h"}},
		{pkiPath + "/roles/" + pkiRole, object{
			"allowed_domains": "server.default.oakum", "allow_bare_domains": true, "key_type": "ec", "key_bits": 256, "max_ttl": "72h",
		}},
		{"sys/policies/acl/oakum", object{"policy": vaultOakumRules}},
		{"sys/policies/acl/caller", object{"policy": vaultCallerRules}},
		{"identity/oidc/config", object{"issuer": s.vault().base}},
		{"identity/oidc/key/" + signingKey, object{"algorithm": "ES256", "allowed_client_ids": "*"}},
		{"identity/oidc/role/" + oakumRole, object{"key": signingKey, "ttl": callerTTL, "client_id": oakumRole, "template": claims}},
		{"identity/oidc/role/" + nomadRole, object{"key": signingKey, "ttl": identityTTL, "client_id": nomadRole, "template": claims}},
		{"identity/oidc/role/" + consulRole, object{"key": signingKey, "ttl": identityTTL, "client_id": consulRole, "template": claims}},
	} {
		if _, err := s.write(ctx, put.path, put.body); err != nil {
			return err
		}
	}
	var mounts struct {
		Data map[string]struct{ Accessor string }
	}
	if err := s.vault().call(ctx, http.MethodGet, "/v1/sys/auth", nil, &mounts); err != nil {
		return fmt.Errorf("list vault auth methods: %w", err)
	}
	approle, userpass := mounts.Data[approlePath+"/"].Accessor, mounts.Data[userpassPath+"/"].Accessor
	members := map[string][]string{}
	for _, who := range []struct{ name, policy, group string }{
		{"oakum", "oakum", groupServers}, {"pipeline", "caller", groupDeployers},
	} {
		roleID, err := s.approle(ctx, who.name, who.policy)
		if err != nil {
			return err
		}
		id, err := s.entity(ctx, who.name, roleID, approle)
		if err != nil {
			return err
		}
		members[who.group] = append(members[who.group], id)
	}
	for _, who := range []struct{ name, password, group string }{
		{"alice", s.described.Secrets.Alice, groupManagers}, {"eve", s.described.Secrets.Eve, ""},
	} {
		id, err := s.user(ctx, who.name, who.password, userpass)
		if err != nil {
			return err
		}
		if who.group != "" {
			members[who.group] = append(members[who.group], id)
		}
	}
	for _, group := range []string{groupServers, groupDeployers, groupManagers} {
		if _, err := s.write(ctx, "identity/group", object{"name": group, "member_entity_ids": members[group]}); err != nil {
			return err
		}
	}
	return nil
}

// approle makes a role and keeps its role_id and secret_id in files.
func (s *Stack) approle(ctx context.Context, name, policy string) (roleID string, err error) {
	path := "auth/" + approlePath + "/role/" + name
	if _, err := s.write(ctx, path, map[string]any{"token_policies": policy, "token_ttl": "1h", "token_max_ttl": "24h"}); err != nil {
		return "", err
	}
	var role struct {
		Data struct {
			RoleID string `json:"role_id"`
		}
	}
	if err := s.vault().call(ctx, http.MethodGet, "/v1/"+path+"/role-id", nil, &role); err != nil {
		return "", fmt.Errorf("read role_id of %s: %w", name, err)
	}
	made, err := s.write(ctx, path+"/secret-id", map[string]any{})
	if err != nil {
		return "", err
	}
	secretID, _ := made["secret_id"].(string)
	if role.Data.RoleID == "" || secretID == "" {
		return "", fmt.Errorf("make approle %s: vault returned no role_id or secret_id", name)
	}
	return role.Data.RoleID, errors.Join(s.keep(name+"_role_id", role.Data.RoleID), s.keep(name+"_secret_id", secretID))
}

// user makes a person who logs in with a password.
func (s *Stack) user(ctx context.Context, name, password, accessor string) (entityID string, err error) {
	body := map[string]any{"password": password, "token_policies": "caller", "token_ttl": "1h"}
	if _, err := s.write(ctx, "auth/"+userpassPath+"/users/"+name, body); err != nil {
		return "", err
	}
	if err := s.keep(name+"_password", password); err != nil {
		return "", err
	}
	return s.entity(ctx, name, name, accessor)
}

// entity makes the identity behind a login, so that its tokens name it.
func (s *Stack) entity(ctx context.Context, name, alias, accessor string) (id string, err error) {
	made, err := s.write(ctx, "identity/entity", map[string]any{"name": name, "metadata": map[string]string{"team": "platform"}})
	if err != nil {
		return "", err
	}
	id, _ = made["id"].(string)
	if id == "" {
		return "", fmt.Errorf("make entity %s: vault returned no id", name)
	}
	_, err = s.write(ctx, "identity/entity-alias", map[string]any{"name": alias, "canonical_id": id, "mount_accessor": accessor})
	return id, err
}

// trustVault makes Nomad and Consul accept identity tokens of Oakum's servers.
func (s *Stack) trustVault(ctx context.Context) error {
	for _, put := range []struct {
		at           endpoint
		method, path string
		body         map[string]any
	}{
		{s.nomad(), http.MethodPost, "/v1/acl/auth-method", map[string]any{
			"Name": authMethod, "Type": "JWT", "TokenLocality": "local", "MaxTokenTTL": identityTTL,
			"Config": s.trust(nomadRole, "SigningAlgs"),
		}},
		{s.nomad(), http.MethodPost, "/v1/acl/binding-rule", map[string]any{
			"AuthMethod": authMethod, "Selector": `"` + groupServers + `" in list.groups`, "BindType": "policy", "BindName": oakumRole,
		}},
		{s.consul(), http.MethodPut, "/v1/acl/auth-method", map[string]any{
			"Name": authMethod, "Type": "jwt", "TokenLocality": "local", "MaxTokenTTL": identityTTL,
			"Config": s.trust(consulRole, "JWTSupportedAlgs"),
		}},
		{s.consul(), http.MethodPut, "/v1/acl/binding-rule", map[string]any{
			"AuthMethod": authMethod, "Selector": `"` + groupServers + `" in list.groups`, "BindType": "role", "BindName": oakumRole,
		}},
	} {
		if err := put.at.call(ctx, put.method, put.path, put.body, nil); err != nil {
			return fmt.Errorf("make logins by vault: %w", err)
		}
	}
	s.say("nomad and consul accept identity tokens of vault")
	return nil
}

// trust is the part of an auth method that says whose tokens count. Nomad and
// Consul name the list of algorithms differently.
func (s *Stack) trust(audience, algorithms string) map[string]any {
	return map[string]any{
		"JWKSURL": s.jwks(), "BoundIssuer": s.bound(algorithms), "BoundAudiences": []string{audience},
		algorithms:          []string{"ES256"},
		"ClaimMappings":     map[string]string{"username": "username", "team": "team"},
		"ListClaimMappings": map[string]string{"groups": "groups"},
	}
}

// bound is the issuer: Nomad takes a list and Consul one.
func (s *Stack) bound(algorithms string) any {
	if algorithms == "SigningAlgs" {
		return []string{s.issuer()}
	}
	return s.issuer()
}
