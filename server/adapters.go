package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/vault"
	"github.com/oakumhq/oakum/server/config"
	"github.com/oakumhq/oakum/server/httpapi"
)

// adapters speak to the systems around the server. consul and prometheus are nil
// when the configuration does not name them.
type adapters struct {
	nomad      *nomad.Client
	consul     *consul.Client
	prometheus *prometheus.Client
	auth       httpapi.Authenticator // nil only in -dev without an issuer
	vault      *vault.Client         // nil without a vault block
	duties     []duty
}

// duty is something that runs as long as the server does.
type duty struct {
	what string
	run  func(context.Context) error
}

// openAdapters makes the adapters. It waits for none of the systems but for the
// first login to Vault, whose failure is no error: the duty tries again.
func openAdapters(ctx context.Context, cfg *config.Config, log *slog.Logger) (*adapters, error) {
	o := &adapters{}
	nomadToken, consulToken, err := o.openVault(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	o.nomad, err = nomad.New(nomad.Config{Address: cfg.Nomad.Address, Token: nomadToken, CACert: cfg.Nomad.CACert, Rack: cfg.Mapper.Rack})
	if err != nil {
		return nil, err
	}
	if c := cfg.Consul; c != nil {
		o.consul, err = consul.New(consul.Config{
			Address: c.Address, Token: consulToken, CACert: c.CACert, Datacenter: c.Datacenter,
		})
		if err != nil {
			return nil, err
		}
	}
	if p := cfg.Prometheus; p != nil {
		secret := func(file string) func() string { return func() string { return readSecret(file, log) } }
		o.prometheus, err = prometheus.New(prometheus.Config{
			Address: p.Address, Token: secret(p.TokenFile), Username: p.Username, Password: secret(p.PasswordFile),
			Tenant: p.Tenant, CACert: p.CACert, ClientCert: p.ClientCert, ClientKey: p.ClientKey,
		})
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// readSecret reads a secret for Prometheus from a file, "" without a file. It is read at
// each call, so that it can be changed while the server runs.
func readSecret(file string, log *slog.Logger) string {
	if file == "" {
		return ""
	}
	text, err := os.ReadFile(file)
	if err != nil {
		log.Warn("read the secret for prometheus", "error", err)
	}
	return strings.TrimSpace(string(text))
}

// openVault prepares the daemon's login to Vault and the authentication of
// callers. It returns the sources of the tokens for Nomad and Consul.
func (o *adapters) openVault(ctx context.Context, cfg *config.Config, log *slog.Logger) (nomadToken, consulToken func() string, err error) {
	nomadToken = func() string { return cfg.Nomad.Token }
	consulToken = func() string {
		if cfg.Consul == nil {
			return ""
		}
		return cfg.Consul.Token
	}
	v := cfg.Vault
	if v == nil {
		return nomadToken, consulToken, o.openAuth(cfg, nil, log)
	}
	client, err := vault.New(vault.Config{
		Address: v.Address, CACert: v.CACert, ApprolePath: v.ApprolePath,
		RoleIDFile: v.RoleIDFile, SecretIDFile: v.SecretIDFile, Logger: log,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open vault: %w", err)
	}
	o.vault = client
	o.duties = append(o.duties, duty{"login to vault", client.Run})
	if via := v.Nomad; via != nil {
		source := client.NomadToken(vault.Via{Address: cfg.Nomad.Address, AuthMethod: via.AuthMethod, OIDCRole: via.OIDCRole})
		o.duties = append(o.duties, duty{"nomad token", source.Run})
		nomadToken = source.Token
	}
	if via := v.Consul; via != nil && cfg.Consul != nil {
		source := client.ConsulToken(vault.Via{Address: cfg.Consul.Address, AuthMethod: via.AuthMethod, OIDCRole: via.OIDCRole})
		o.duties = append(o.duties, duty{"consul token", source.Run})
		consulToken = source.Token
	}
	return nomadToken, consulToken, o.openAuth(cfg, client, log)
}

// openAuth prepares the authentication of callers. In -dev without an issuer there
// is none, and everybody may do everything.
func (o *adapters) openAuth(cfg *config.Config, client *vault.Client, log *slog.Logger) error {
	if cfg.Dev && cfg.Auth.Issuer == "" {
		return nil
	}
	auth, err := vault.NewAuthenticator(vault.AuthConfig{
		Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, JWKS: cfg.Auth.JWKS, NameClaim: cfg.Auth.NameClaim,
		GroupsClaim: cfg.Auth.GroupsClaim, VaultTokens: cfg.Auth.VaultTokens && client != nil,
		Grant: cfg.Auth.Rules.Evaluate, Logger: log,
	}, client)
	if err != nil {
		return fmt.Errorf("open authentication: %w", err)
	}
	o.auth = auth
	return nil
}

// The components declare the types of the answers that they take. The following
// types convert what the adapters answer.

// metrics answers the queries behind the KPIs from Prometheus.
type metrics struct{ client *prometheus.Client }

var _ kpi.Metrics = metrics{}

// Query answers one PromQL instant query.
func (m metrics) Query(ctx context.Context, promql string, at time.Time) ([]kpi.Series, error) {
	found, err := m.client.Query(ctx, promql, at)
	return seriesOf(found), err
}

// Measured answers one, and says what it has cost.
func (m metrics) Measured(ctx context.Context, promql string, at time.Time) ([]kpi.Series, kpi.Cost, error) {
	found, cost, err := m.client.Measured(ctx, promql, at)
	return seriesOf(found), kpi.Cost(cost), err
}

func seriesOf(found []prometheus.Sample) []kpi.Series {
	series := make([]kpi.Series, len(found))
	for i, f := range found {
		series[i] = kpi.Series(f)
	}
	return series
}

// usage answers questions about allocations from Nomad.
type usage struct{ client *nomad.Client }

var _ kpi.Stats = usage{}

// AllocStats answers what one allocation uses.
func (u usage) AllocStats(ctx context.Context, allocID string) (kpi.AllocStats, error) {
	s, err := u.client.Stats(ctx, allocID)
	return kpi.AllocStats(s), err
}
