//go:build e2e

// Package packaging_test makes the packages, installs one on this machine, and starts the
// server as its unit does.
package packaging_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// patience bounds each wait.
const patience = 2 * time.Minute

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	must.NoError(t, err, must.Sprintf("%s %s: %s", name, strings.Join(args, " "), out))
	return string(out)
}

// TestPackages installs the deb and purges it.
func TestPackages(t *testing.T) {
	if exec.CommandContext(t.Context(), "dpkg-query", "--status", "oakum").Run() == nil {
		t.Fatal("oakum is installed on this machine, and this test would purge it")
	}
	_, err := user.Lookup("oakum")
	knew := err == nil
	dist := t.TempDir()
	run(t, "./build.sh", dist)
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dist
	out, err := check.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	for _, kind := range []string{"oakum_*.deb", "oakum-*.rpm", "oakum.cdx.json"} {
		must.StrContains(t, string(out), strings.Split(kind, "*")[0], must.Sprint(kind))
	}
	debs, err := filepath.Glob(filepath.Join(dist, "*.deb"))
	must.NoError(t, err)
	must.Len(t, 1, debs)

	t.Cleanup(func() {
		_, _ = exec.Command("dpkg", "--purge", "oakum").CombinedOutput() // what was not installed
		must.NoError(t, os.RemoveAll("/etc/oakum.d"))
		if !knew {
			_, _ = exec.Command("userdel", "oakum").CombinedOutput() // who was not made
		}
	})
	run(t, "dpkg", "--install", debs[0])
	must.EqOp(t, "root:oakum 750\nroot:oakum 640\n", run(t, "stat", "--format=%U:%G %a", "/etc/oakum.d", "/etc/oakum.d/oakum.hcl"))
	unit := readUnit(t, "/usr/lib/systemd/system/oakum.service")
	must.EqOp(t, "notify", unit["Type"])

	t.Run("what is not filled in yet is named", func(t *testing.T) {
		cmd := start(t, unit, "")
		must.Error(t, cmd.Wait())
		must.StrContains(t, output(cmd), "vault: want a vault block")
		must.StrContains(t, output(cmd), "auth.rule: want at least one rule")
	})
	t.Run("it tells that it answers, and that it stops", func(t *testing.T) { serves(t, unit) })

	must.NoError(t, os.Remove("/etc/oakum.d/oakum.hcl"), must.Sprint("somebody has a file of another name"))
	run(t, "dpkg", "--install", debs[0])
	must.StrContains(t, run(t, "cat", "/etc/oakum.d/test.hcl"), "issuer", must.Sprint("an upgrade leaves the configuration"))
}

// serves starts the server with callers that an issuer on this machine vouches for.
func serves(t *testing.T, unit map[string]string) {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) }))
	defer issuer.Close()
	var ports []any
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must.NoError(t, err)
		ports = append(ports, l.Addr().String())
		must.NoError(t, l.Close())
	}
	text := fmt.Sprintf("addresses {\n  http = %q\n  raft = %q\n}\n", ports...) + fmt.Sprintf(
		"auth {\n  issuer = %q\n  jwks_url = %q\n  rule \"all\" {\n    when = true\n    capabilities = [\"read\"]\n  }\n}\ntls { insecure = true }\n", issuer.URL, issuer.URL)
	must.NoError(t, os.WriteFile("/etc/oakum.d/test.hcl", []byte(text), 0o644))
	state := filepath.Join("/var/lib", unit["StateDirectory"]) // systemd makes it, for the user alone
	must.NoError(t, os.MkdirAll(state, 0o700))
	t.Cleanup(func() { must.NoError(t, os.RemoveAll(state)) })
	uid, gid := oakum(t)
	must.NoError(t, os.Chown(state, int(uid), int(gid)))

	name := fmt.Sprintf("@oakum-packaging-%d", os.Getpid())
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	must.NoError(t, err)
	defer told.Close() //nolint:errcheck // it was only read
	tells := func(want string, cmd *exec.Cmd) {
		t.Helper()
		buf := make([]byte, 256)
		must.NoError(t, told.SetReadDeadline(time.Now().Add(patience)))
		n, err := told.Read(buf)
		must.NoError(t, err, must.Sprint(output(cmd)))
		must.EqOp(t, want, string(buf[:n]))
	}
	cmd := start(t, unit, name)
	tells("READY=1", cmd)
	resp, err := http.Get(fmt.Sprintf("http://%s/v1/agent/self", ports[0]))
	must.NoError(t, err)
	must.NoError(t, resp.Body.Close())
	must.EqOp(t, http.StatusUnauthorized, resp.StatusCode, must.Sprint("nobody has shown a token"))
	must.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	tells("STOPPING=1", cmd)
	must.NoError(t, cmd.Wait(), must.Sprint(output(cmd)))
}

// readUnit reads the settings of a unit that stand in it once.
func readUnit(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			out[key] = value
		}
	}
	return out
}

func oakum(t *testing.T) (uid, gid uint32) {
	t.Helper()
	u, err := user.Lookup("oakum")
	must.NoError(t, err)
	id := func(text string) uint32 {
		n, err := strconv.ParseUint(text, 10, 32)
		must.NoError(t, err)
		return uint32(n)
	}
	return id(u.Uid), id(u.Gid)
}

// start starts the unit's command as the unit's user, with nothing of this environment.
func start(t *testing.T, unit map[string]string, notify string) *exec.Cmd {
	t.Helper()
	must.EqOp(t, "oakum", unit["User"])
	words := strings.Fields(unit["ExecStart"])
	uid, gid := oakum(t)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin"}
	if notify != "" {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+notify)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	cmd.Stderr = &bytes.Buffer{}
	must.NoError(t, cmd.Start())
	return cmd
}

// output is what a command that has ended has said.
func output(cmd *exec.Cmd) string { return cmd.Stderr.(*bytes.Buffer).String() }
