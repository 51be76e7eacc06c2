package stack

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
)

// Env tells others where the stack is and how to enter it. Each field is the
// environment variable of its tag.
type Env struct {
	Dir    string `env:"STACK_DIR" json:"dir"`
	BinDir string `env:"STACK_BIN" json:"bin_dir"`
	Images string `env:"STACK_IMAGES" json:"images"` // folder that QEMU tasks may take images from

	DockerSocket string `env:"STACK_DOCKER_SOCKET" json:"docker_socket"` // of the stack's Docker; empty without one

	NomadAddr  string `env:"NOMAD_ADDR" json:"nomad_addr"`
	NomadToken string `env:"NOMAD_TOKEN" json:"nomad_token"` // management

	ConsulAddr      string `env:"CONSUL_HTTP_ADDR" json:"consul_addr"`
	ConsulToken     string `env:"CONSUL_HTTP_TOKEN" json:"consul_token"`      // management
	ConsulMeshToken string `env:"CONSUL_MESH_TOKEN" json:"consul_mesh_token"` // for workloads: register services and sidecars, read

	VaultAddr  string `env:"VAULT_ADDR" json:"vault_addr"`
	VaultToken string `env:"VAULT_TOKEN" json:"vault_token"` // root

	PrometheusAddr    string `env:"PROMETHEUS_ADDR" json:"prometheus_addr"`
	PrometheusTargets string `env:"PROMETHEUS_TARGETS" json:"prometheus_targets"` // folder for file_sd files (*.json) of Oakum's servers
	StatsdAddr        string `env:"STATSD_ADDR" json:"statsd_addr"`               // UDP, host:port
	StatsdExporter    string `env:"STATSD_EXPORTER_ADDR" json:"statsd_exporter_addr"`

	// How the daemon proves who it is to Vault, and by Vault to Nomad and Consul.
	AppRolePath       string `env:"VAULT_APPROLE_PATH" json:"approle_path"`
	OakumRoleIDFile   string `env:"OAKUM_ROLE_ID_FILE" json:"oakum_role_id_file"`
	OakumSecretIDFile string `env:"OAKUM_SECRET_ID_FILE" json:"oakum_secret_id_file"`
	NomadAuthMethod   string `env:"NOMAD_AUTH_METHOD" json:"nomad_auth_method"`
	NomadOIDCRole     string `env:"NOMAD_OIDC_ROLE" json:"nomad_oidc_role"` // identity/oidc role; the audience has the same name
	ConsulAuthMethod  string `env:"CONSUL_AUTH_METHOD" json:"consul_auth_method"`
	ConsulOIDCRole    string `env:"CONSUL_OIDC_ROLE" json:"consul_oidc_role"`
	PKIPath           string `env:"VAULT_PKI_PATH" json:"pki_path"`
	PKIRole           string `env:"VAULT_PKI_ROLE" json:"pki_role"` // signs server.default.oakum

	// How callers prove who they are to Oakum.
	OIDCIssuer           string `env:"OAKUM_OIDC_ISSUER" json:"oidc_issuer"`
	OIDCAudience         string `env:"OAKUM_OIDC_AUDIENCE" json:"oidc_audience"`
	OIDCRole             string `env:"OAKUM_OIDC_ROLE" json:"oidc_role"`
	PipelineRoleIDFile   string `env:"PIPELINE_ROLE_ID_FILE" json:"pipeline_role_id_file"`
	PipelineSecretIDFile string `env:"PIPELINE_SECRET_ID_FILE" json:"pipeline_secret_id_file"`
	UserpassPath         string `env:"VAULT_USERPASS_PATH" json:"userpass_path"`
	AlicePasswordFile    string `env:"ALICE_PASSWORD_FILE" json:"alice_password_file"` // group release-managers
	EvePasswordFile      string `env:"EVE_PASSWORD_FILE" json:"eve_password_file"`     // no group
}

// Map returns the variables by name.
func (e Env) Map() map[string]string {
	all := make(map[string]string)
	for field, value := range reflect.ValueOf(e).Fields() {
		all[field.Tag.Get("env")] = value.String()
	}
	return all
}

// Environ returns the variables as os/exec wants them, sorted.
func (e Env) Environ() []string {
	var all []string
	for name, value := range e.Map() {
		all = append(all, name+"="+value)
	}
	sort.Strings(all)
	return all
}

// Shell returns the variables as lines of shell.
func (e Env) Shell() string {
	var text strings.Builder
	for _, line := range e.Environ() {
		name, value, _ := strings.Cut(line, "=")
		fmt.Fprintf(&text, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return text.String()
}

// WriteEnv writes the variables as lines of shell, readable by their owner
// only, since tokens are among them.
func (e Env) WriteEnv(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write environment: %w", err)
	}
	if err := os.WriteFile(path, []byte(e.Shell()), 0o600); err != nil {
		return fmt.Errorf("write environment: %w", err)
	}
	return nil
}

// ReadEnv reads what WriteEnv wrote. Lines about other variables are passed over.
func ReadEnv(path string) (Env, error) {
	file, err := os.Open(path)
	if err != nil {
		return Env{}, fmt.Errorf("read environment: %w", err)
	}
	defer file.Close() //nolint:errcheck // it is only read
	found := make(map[string]string)
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			return Env{}, fmt.Errorf("read environment: %s:%d: want export NAME='value'", path, number)
		}
		value = strings.TrimSuffix(strings.TrimPrefix(value, "'"), "'")
		found[name] = strings.ReplaceAll(value, `'\''`, "'")
	}
	if err := lines.Err(); err != nil {
		return Env{}, fmt.Errorf("read environment: %w", err)
	}
	var env Env
	value := reflect.ValueOf(&env).Elem()
	for index := range value.NumField() {
		value.Field(index).SetString(found[value.Type().Field(index).Tag.Get("env")])
	}
	return env, nil
}
