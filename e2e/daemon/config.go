package daemon

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/appliance"
)

// configuration is what a server's file is made of.
type configuration struct {
	Options
	Env   stack.Env
	Name  string
	Place Place
	TLS   string // block

	Appliance *appliance.Appliance // in which scripts run; nil: they are refused
}

// layout is the configuration of a server. A block of a system without an address is
// left out.
const layout = `name     = {{printf "%q" .Name}}
data_dir = {{printf "%q" .Place.Data}}

addresses {
  http = {{printf "%q" .Place.HTTP}}
  raft = {{printf "%q" .Place.Bind}}
}
advertise {
  raft = {{printf "%q" .Place.Raft}}
}
server {
  bootstrap_expect = {{.Servers}}
  retry_join       = [{{strings .Join}}]
}

nomad {
  address = {{printf "%q" .Env.NomadAddr}}
}
{{- if .Env.ConsulAddr}}
consul {
  address = {{printf "%q" .Env.ConsulAddr}}
{{- if .Service}}
  service_name = {{printf "%q" .Service}}
{{- end}}
{{- if .Tags}}
  tags = [{{strings .Tags}}]
{{- end}}
}
{{- end}}
{{- if .Env.PrometheusAddr}}
prometheus {
  address = {{printf "%q" .Env.PrometheusAddr}}
{{- if .Paces.Scrape}}
  scrape_interval = "{{.Paces.Scrape}}"
{{- end}}
}
{{- end}}
{{- if .Env.VaultAddr}}
vault {
  address        = {{printf "%q" .Env.VaultAddr}}
  role_id_file   = {{printf "%q" .Env.OakumRoleIDFile}}
  secret_id_file = {{printf "%q" .Env.OakumSecretIDFile}}
{{- if .Env.NomadAuthMethod}}
  nomad {
    auth_method = {{printf "%q" .Env.NomadAuthMethod}}
    oidc_role   = {{printf "%q" .Env.NomadOIDCRole}}
  }
{{- end}}
{{- if .Env.ConsulAuthMethod}}
  consul {
    auth_method = {{printf "%q" .Env.ConsulAuthMethod}}
    oidc_role   = {{printf "%q" .Env.ConsulOIDCRole}}
  }
{{- end}}
}
{{- end}}

auth {
{{- if .Issuer}}
  issuer       = {{printf "%q" .Issuer}}
  jwks_url     = "{{.Issuer}}/.well-known/keys"
  vault_tokens = false
{{- end}}
  audience = {{printf "%q" .Env.OIDCAudience}}
  rule "pipelines" {
    when         = contains(claims.groups, "deployers")
    capabilities = ["read", "patch-submit", "simulate", "policy-write"]
  }
  rule "release managers" {
    when         = contains(claims.groups, "release-managers")
    capabilities = ["read", "approve", "rollout-control", "operator", "policy-write", "simulate"]
  }
}
{{- if or .Paces.Profiler .Paces.Checkpoint .Paces.Orchestrator}}
intervals {
{{- if .Paces.Profiler}}
  profiler   = "{{.Paces.Profiler}}"
{{- end}}
{{- if .Paces.Checkpoint}}
  checkpoint = "{{.Paces.Checkpoint}}"
{{- end}}
{{- if .Paces.Orchestrator}}
  orchestrator = "{{.Paces.Orchestrator}}"
{{- end}}
}
{{- end}}
{{- if or .Paces.Rate .Paces.Warmup .Appliance}}
simulator {
{{- if .Paces.Rate}}
  rate   = {{.Paces.Rate}}
{{- end}}
{{- if .Paces.Warmup}}
  warmup = "{{.Paces.Warmup}}"
{{- end}}
{{- with .Appliance}}
  appliance {
    kernel {
      source   = {{printf "%q" .Kernel.Source}}
      checksum = {{printf "%q" .Kernel.Checksum}}
    }
    initrd {
      source   = {{printf "%q" .Initrd.Source}}
      checksum = {{printf "%q" .Initrd.Checksum}}
    }
{{- if .Reader.Source}}
    reader {
      source   = {{printf "%q" .Reader.Source}}
      checksum = {{printf "%q" .Reader.Checksum}}
    }
{{- end}}
  }
{{- end}}
}
{{- end}}
{{- if and .Appliance (not .ReadImages)}}
inventory {
  read_images = false
}
{{- end}}
{{.TLS}}
{{.Extra}}
`

// quoted are the elements of a list of strings in HCL.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}

// text is the file of a server.
func (c configuration) text() (string, error) {
	file, err := template.New("oakum.hcl").Funcs(template.FuncMap{"strings": quoted}).Parse(layout)
	if err != nil {
		return "", fmt.Errorf("write configuration of %s: %w", c.Name, err)
	}
	var b strings.Builder
	if err := file.Execute(&b, c); err != nil {
		return "", fmt.Errorf("write configuration of %s: %w", c.Name, err)
	}
	return b.String(), nil
}

// tls is the tls block of a server.
func (o Options) tls(env stack.Env, i int, dir string) (string, error) {
	switch {
	case o.TLS != nil:
		return o.TLS(i, dir)
	case env.PKIPath != "":
		return fmt.Sprintf("tls {\n  vault {\n    mount = %q\n    role  = %q\n    ttl   = \"1h\"\n  }\n}\n", env.PKIPath, env.PKIRole), nil
	}
	return "tls {\n  insecure = true\n}\n", nil
}
