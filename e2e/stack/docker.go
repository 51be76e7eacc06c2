package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// cniPath is where Debian's package has CNI's plugins.
	cniPath = "/usr/lib/cni"
	// SandboxNetwork is the CNI network without a way out. Its namespaces have nothing
	// but a loopback of their own.
	SandboxNetwork = "oakum-sandbox"
	// pauseImage holds the network namespace of a group of containers.
	pauseImage = "stack-pause:1"
)

// sandboxConflist describes SandboxNetwork.
const sandboxConflist = `{"cniVersion": "0.4.0", "name": "` + SandboxNetwork + `", "plugins": [{"type": "loopback"}]}
`

// dockerSocket is empty when the stack has no Docker.
func (s *Stack) dockerSocket() string {
	if !s.described.Options.Containers {
		return ""
	}
	return s.path(dataDir, "docker.sock")
}

// DockerSocket is where the stack's Docker listens.
func (s *Stack) DockerSocket() string { return s.dockerSocket() }

// Docker is what a command of the stack's Docker prints, without the space around it; of one
// that fails, the error.
func (s *Stack) Docker(ctx context.Context, args ...string) string {
	said, err := exec.CommandContext(ctx, "docker", append([]string{"-H", "unix://" + s.dockerSocket()}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, said)
	}
	return strings.TrimSpace(string(said))
}

// ChrootFolder is what the tasks of driver exec see as /opt.
func (s *Stack) ChrootFolder() string { return s.path(dataDir, "chroot") }

// startDocker runs a daemon that touches nothing of the host's network, and writes what
// Nomad's clients need beside it. Without Options.Containers it does nothing.
func (s *Stack) startDocker(ctx context.Context) error {
	if !s.described.Options.Containers {
		return nil
	}
	for _, dir := range []string{s.ChrootFolder(), s.path(dataDir, "cni")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	own := s.path(configDir, "dockerd.json") // and not the host's
	for path, text := range map[string]string{own: "{}\n", s.path(dataDir, "cni", "sandbox.conflist"): sandboxConflist} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("configure containers: %w", err)
		}
	}
	folder := s.path(dataDir, "docker")
	err := s.add(ctx, component{Dockerd, []string{
		"/usr/sbin/dockerd", "--config-file=" + own, "--host=unix://" + s.dockerSocket(), "--pidfile=" + filepath.Join(folder, "pid"),
		"--data-root=" + filepath.Join(folder, "data"), "--exec-root=" + filepath.Join(folder, "exec"),
		"--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs",
	}})
	if err != nil {
		return err
	}
	root := s.path(dataDir, "pause")
	if err := copyInto(root, "sleep", "/bin/busybox"); err != nil {
		return err
	}
	return s.ImportImage(ctx, pauseImage, root, `ENTRYPOINT ["/sleep", "100000000"]`)
}

// dockerReady is nil when the daemon answers at its socket.
func (s *Stack) dockerReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.dockerSocket())
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New("docker answers " + answer.Status)
	}
	return nil
}

// ImportImage makes an image of the stack's Docker from a folder, with changes as docker
// import takes them. No registry is reachable.
func (s *Stack) ImportImage(ctx context.Context, name, root string, changes ...string) error {
	archive, err := exec.CommandContext(ctx, "tar", "-C", root, "-c", ".").Output()
	if err != nil {
		return fmt.Errorf("pack image %s: %w", name, err)
	}
	args := []string{"-H", "unix://" + s.dockerSocket(), "import"}
	for _, c := range changes {
		args = append(args, "-c", c)
	}
	command := exec.CommandContext(ctx, "docker", append(args, "-", name)...)
	command.Stdin = bytes.NewReader(archive)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("import image %s: %w: %s", name, err, said)
	}
	return nil
}

// copyInto copies a program into a folder under a name.
func copyInto(dir, name, program string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("copy %s: %w", program, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("copy %s: %w", program, err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
		return fmt.Errorf("copy %s: %w", program, err)
	}
	return nil
}
