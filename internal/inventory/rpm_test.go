//go:build e2e

package inventory_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// unpackedRPM downloads Debian's rpm and the libraries that it needs, unpacks them into a
// folder, and returns a command that runs it there. Nothing is installed.
func unpackedRPM(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	folder := t.TempDir()
	download := exec.CommandContext(t.Context(), "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "rpm", "rpm-common",
		"librpm9", "librpmio9", "librpmbuild9", "librpmsign9", "libpopt0", "liblua5.3-0", "libelf1", "libsqlite3-0", "libgcrypt20",
		"libgpg-error0", "libcap2", "libreadline8", "libtinfo6", "libmagic1", "libgomp1", "libdw1")
	download.Dir = folder
	out, err := download.CombinedOutput()
	must.NoError(t, err, must.Sprint("connect this machine to its Debian mirror:", string(out)))
	packages, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	must.NoError(t, err)
	root := filepath.Join(folder, "root")
	for _, p := range packages {
		out, err := exec.CommandContext(t.Context(), "dpkg", "-x", p, root).CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
	}
	rpm := exec.CommandContext(t.Context(), filepath.Join(root, "usr", "bin", "rpm"), args...)
	rpm.Env = append(os.Environ(), "RPM_CONFIGDIR="+filepath.Join(root, "usr", "lib", "rpm"),
		"LD_LIBRARY_PATH="+filepath.Join(root, "usr", "lib", "x86_64-linux-gnu")+":"+filepath.Join(root, "lib", "x86_64-linux-gnu"))
	return rpm
}

// TestOrder_IsRPMs asks librpm about each two neighbours of the stored order, which then is
// librpm's for all pairs.
func TestOrder_IsRPMs(t *testing.T) {
	t.Parallel()
	versions, rank := ranked(t, "rpm-order.txt")
	var script, want strings.Builder
	script.WriteString("%{lua:")
	for i, b := range versions[1:] {
		a := versions[i]
		fmt.Fprintf(&script, "print(rpm.vercmp(%q,%q)..%q)", a, b, "\n")
		fmt.Fprintln(&want, max(-1, rank[a]-rank[b]))
	}
	script.WriteString("}")
	out, err := unpackedRPM(t, "--eval", script.String()).CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	must.Eq(t, strings.Fields(want.String()), strings.Fields(string(out)))
}
