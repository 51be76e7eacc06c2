package stack

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"
)

//go:embed config
var templates embed.FS

// nomadClient is what sets one Nomad client apart from the others.
type nomadClient struct {
	Name, Node             string
	HTTP, PortMin, PortMax int
}

// filling is what the templates of the configuration read.
type filling struct {
	Data, Targets string
	Services      string // file of the services to scrape
	Ports         Ports
	Secrets       secrets
	ClientHTTP    []int
	ImagePaths    []string
	Client        nomadClient
	Containers    bool
	DockerSocket  string
	CNIPath       string
}

// newUUID returns a random identifier in the form that Consul and Nomad want
// for tokens.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newSecrets() secrets {
	return secrets{
		ConsulManagement: newUUID(), ConsulNomad: newUUID(), ConsulPrometheus: newUUID(), ConsulMesh: newUUID(),
		NomadBootstrap: newUUID(), Alice: rand.Text(), Eve: rand.Text(),
	}
}

// start brings the components up: what does not need one another at once.
func (s *Stack) start(ctx context.Context) error {
	if err := s.buildProgram(ctx); err != nil {
		return err
	}
	if s.described.Options.Bound {
		if err := s.guard(); err != nil {
			return err
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.startVault(gctx) })
	group.Go(func() error { return s.startStatsd(gctx) })
	group.Go(func() error {
		if err := s.startConsul(gctx); err != nil {
			return err
		}
		if err := s.startPrometheus(gctx); err != nil {
			return err
		}
		return s.startNomad(gctx)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := s.trustVault(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.save()
}

func (s *Stack) binary(name string) string {
	path, err := FindBinary(s.described.Options.BinDir, name)
	if err != nil {
		return name // checkBinaries has reported it
	}
	return path
}

func (o Options) checkBinaries() error {
	var missing []string
	for _, name := range []string{"consul", "vault", "nomad", "statsd_exporter", "prometheus"} {
		if _, err := FindBinary(o.BinDir, name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s is without %s: run make stack", o.BinDir, strings.Join(missing, ", "))
	}
	return nil
}

// configure writes one configuration file from its template.
func (s *Stack) configure(templateName, fileName string, client nomadClient) (string, error) {
	o := s.described.Options
	parsed, err := template.ParseFS(templates, "config/"+templateName)
	if err != nil {
		return "", fmt.Errorf("configure %s: %w", fileName, err)
	}
	path := s.path(configDir, fileName)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("configure %s: %w", fileName, err)
	}
	s.mu.Lock()
	secret := s.described.Secrets
	s.mu.Unlock()
	values := filling{
		Data: s.path(dataDir), Targets: s.path(targetsDir), Services: s.path(dataDir, servicesFile),
		Ports: s.ports(), Secrets: secret,
		ImagePaths: append([]string{o.Dir, o.images()}, o.ImagePaths...), Client: client,
		Containers: o.Containers, DockerSocket: s.dockerSocket(), CNIPath: cniPath,
	}
	for i := range o.Clients {
		values.ClientHTTP = append(values.ClientHTTP, s.ports().NomadClientHTTP+i)
	}
	if err := errors.Join(parsed.Execute(file, values), file.Close()); err != nil {
		return "", fmt.Errorf("configure %s: %w", fileName, err)
	}
	return path, nil
}

func (s *Stack) startConsul(ctx context.Context) error {
	path, err := s.configure("consul.json.tmpl", "consul.json", nomadClient{})
	if err != nil {
		return err
	}
	if err := s.add(ctx, component{Consul, []string{s.binary("consul"), "agent", "-config-file=" + path}}); err != nil {
		return err
	}
	s.say("consul answers at %s", s.consul().base)
	return s.consulTokens(ctx)
}

func (s *Stack) startStatsd(ctx context.Context) error {
	path, err := s.configure("statsd.yml.tmpl", "statsd.yml", nomadClient{})
	if err != nil {
		return err
	}
	return s.add(ctx, component{StatsdExporter, []string{
		s.binary("statsd_exporter"), "--statsd.mapping-config=" + path,
		"--statsd.listen-udp=" + loopback(s.ports().StatsdUDP), "--statsd.listen-tcp=",
		"--web.listen-address=" + loopback(s.ports().StatsdHTTP), "--log.level=warn",
	}})
}

// program is the stack command, for what must run beside this process.
func (s *Stack) program() string { return s.path(dataDir, "stack") }

// buildProgram builds it on the spot, so that it always fits this package.
func (s *Stack) buildProgram(ctx context.Context) error {
	root, err := RepositoryRoot()
	if err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", s.program(), "./e2e/stack/cmd/stack") // git may refuse another user's checkout
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the stack command: %w: %s", err, text)
	}
	return nil
}

// startDiscovery runs "stack discover".
func (s *Stack) startDiscovery(ctx context.Context) error {
	token := s.path(configDir, "discovery.token")
	if err := os.WriteFile(token, []byte(s.described.Secrets.ConsulPrometheus), 0o600); err != nil {
		return fmt.Errorf("configure discovery: %w", err)
	}
	return s.add(ctx, component{DiscoveryName, []string{
		s.program(), "discover", "-consul=" + s.consul().base, "-token-file=" + token, "-file=" + s.path(dataDir, servicesFile),
	}})
}

func (s *Stack) discoveryReady(context.Context) error {
	if _, err := os.Stat(s.path(dataDir, servicesFile)); err != nil {
		return fmt.Errorf("no targets yet: %w", err)
	}
	return nil
}

func (s *Stack) startPrometheus(ctx context.Context) error {
	if err := s.startDiscovery(ctx); err != nil {
		return err
	}
	path, err := s.configure("prometheus.yml.tmpl", "prometheus.yml", nomadClient{})
	if err != nil {
		return err
	}
	return s.add(ctx, component{Prometheus, []string{
		s.binary("prometheus"), "--config.file=" + path, "--storage.tsdb.path=" + s.path(dataDir, "prometheus"),
		"--web.listen-address=" + loopback(s.ports().Prometheus), "--web.enable-lifecycle", "--log.level=warn",
	}})
}

func (s *Stack) startNomad(ctx context.Context) error {
	path, err := s.configure("nomad-server.hcl.tmpl", "nomad-server.hcl", nomadClient{})
	if err != nil {
		return err
	}
	if err := s.add(ctx, component{NomadServer, []string{s.binary("nomad"), "agent", "-config=" + path}}); err != nil {
		return err
	}
	s.say("nomad answers at %s", s.nomad().base)
	if err := s.nomadPolicies(ctx); err != nil {
		return err
	}
	if err := s.startDocker(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range s.described.Options.Clients {
		group.Go(func() error { return s.startClient(ctx, i) })
	}
	return group.Wait()
}

func (s *Stack) startClient(ctx context.Context, i int) error {
	o := s.described.Options
	// At least 100 ports each; ten clients or fewer stay within the offset's
	// own thousand.
	span := max(offsetStep/o.Clients, 100)
	first := taskPortBase + o.PortOffset + i*span
	client := nomadClient{
		Name: ClientName(i + 1), Node: fmt.Sprintf("node-%d", i+1),
		HTTP: s.ports().NomadClientHTTP + i, PortMin: first, PortMax: first + span - 1,
	}
	path, err := s.configure("nomad-client.hcl.tmpl", client.Name+".hcl", client)
	if err != nil {
		return err
	}
	return s.add(ctx, component{client.Name, []string{s.binary("nomad"), "agent", "-config=" + path}})
}

// ready waits until the component serves; a Vault is unsealed on the way.
func (s *Stack) ready(ctx context.Context, name string) error {
	switch name {
	case Consul:
		return s.await(ctx, name, s.consulReady)
	case Vault:
		return s.vaultReady(ctx)
	case NomadServer:
		return s.await(ctx, name, s.nomadReady)
	case DiscoveryName:
		return s.await(ctx, name, s.discoveryReady)
	case Dockerd:
		return s.await(ctx, name, s.dockerReady)
	case StatsdExporter:
		return s.await(ctx, name, s.answers(s.ports().StatsdHTTP, "/metrics"))
	case Prometheus:
		return s.await(ctx, name, s.answers(s.ports().Prometheus, "/-/ready"))
	default:
		err := s.await(ctx, name, s.clientReady(name))
		weighTasks()
		return err
	}
}

// answers checks a page that answers 200 when its agent is ready.
func (s *Stack) answers(port int, path string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback(port)+path, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", request.URL, answer.Status)
		}
		return nil
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

// Env returns where the stack is and how to enter it.
func (s *Stack) Env() Env {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, secret, file := s.described.Options, s.described.Secrets, s.described.Files
	return Env{
		Dir: o.Dir, BinDir: o.BinDir, Images: o.images(),
		NomadAddr: s.nomad().base, NomadToken: secret.NomadBootstrap,
		ConsulAddr: s.consul().base, ConsulToken: secret.ConsulManagement, ConsulMeshToken: secret.ConsulMesh,
		VaultAddr: s.vault().base, VaultToken: secret.VaultRoot,
		PrometheusAddr: "http://" + loopback(s.ports().Prometheus), PrometheusTargets: s.path(targetsDir),
		StatsdAddr: loopback(s.ports().StatsdUDP), StatsdExporter: "http://" + loopback(s.ports().StatsdHTTP),
		AppRolePath: approlePath, OakumRoleIDFile: file["oakum_role_id"], OakumSecretIDFile: file["oakum_secret_id"],
		NomadAuthMethod: authMethod, NomadOIDCRole: nomadRole, ConsulAuthMethod: authMethod, ConsulOIDCRole: consulRole,
		PKIPath: pkiPath, PKIRole: pkiRole,
		OIDCIssuer: s.issuer(), OIDCAudience: oakumRole, OIDCRole: oakumRole,
		PipelineRoleIDFile: file["pipeline_role_id"], PipelineSecretIDFile: file["pipeline_secret_id"],
		DockerSocket: s.dockerSocket(), UserpassPath: userpassPath, AlicePasswordFile: file["alice_password"], EvePasswordFile: file["eve_password"],
	}
}

// keep writes a credential into a file that only its owner reads.
func (s *Stack) keep(name, value string) error {
	path := s.path(secretsDir, name)
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		return fmt.Errorf("keep %s: %w", filepath.Base(path), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.described.Files[name] = path
	return nil
}

// settle bounds how long a stack's tasks may take to end when it goes down: seconds,
// of which the longest kill timeout of the example jobs is most, unless the machine
// has no time for them.
const settle = 2 * time.Minute
