//go:build e2e

package inventory_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// goes runs the go command in a folder of the repository, and returns what it printed.
func goes(t *testing.T, folder string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = filepath.Join("..", "..", folder)
	out, err := command.Output()
	must.NoError(t, err, must.Sprint(args))
	return string(out)
}

// generated has a generator of another project write a bill of materials, and reads that.
func generated(t *testing.T, tool string, args ...string) api.Inventory {
	t.Helper()
	document := goes(t, ".", append([]string{"tool", "-modfile=internal/tools/sbom/go.mod", tool}, args...)...)
	inv, err := inventory.Parse(tool, []byte(document))
	must.NoError(t, err)
	must.False(t, inv.TakenAt.IsZero())
	return inv
}

// TestParse_ReadsWhatSyftWritesNow has syft write down the packages of this machine, in
// both formats, and asks dpkg-query what they are.
func TestParse_ReadsWhatSyftWritesNow(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for _, file := range []string{"var/lib/dpkg/status", "usr/lib/os-release"} {
		content, err := os.ReadFile(filepath.Join("/", file))
		must.NoError(t, err)
		must.NoError(t, os.MkdirAll(filepath.Join(tree, filepath.Dir(file)), 0o700))
		must.NoError(t, os.WriteFile(filepath.Join(tree, file), content, 0o600))
	}
	want := dpkgQuery(t)
	for format, output := range map[string]string{"CycloneDX 1.": "cyclonedx-json", "SPDX 2.": "spdx-json"} {
		inv := generated(t, "syft", "scan", "dir:"+tree, "--quiet", "--output", output)
		must.SliceEmpty(t, inv.Aside)
		must.StrContains(t, inv.Format, format)
		must.Len(t, 1, inv.Releases)
		must.StrHasPrefix(t, "Debian:", inv.Releases[0])
		must.Eq(t, want, lines(inv), must.Sprint(output))
	}
}

// TestParse_ReadsWhatCycloneDXGomodWritesNow has cyclonedx-gomod write down the modules of
// the example of a plugin, and asks Go what they are.
func TestParse_ReadsWhatCycloneDXGomodWritesNow(t *testing.T) {
	t.Parallel()
	const module = "examples/plugins/one-per-node"
	inv := generated(t, "cyclonedx-gomod", "mod", "-json", module)
	// The example and this module have a version in a clone of Git's, and none elsewhere.
	const own = "github.com/oakumhq/oakum"
	for _, aside := range inv.Aside {
		must.StrContains(t, aside.Name, own)
	}
	want := map[string]string{}
	for line := range strings.Lines(goes(t, module, "list", "-deps", "-f", "{{with .Module}}{{if not .Replace}}{{.Path}} {{.Version}}{{end}}{{end}}", "./...")) {
		if path, version, _ := strings.Cut(strings.TrimSpace(line), " "); version != "" {
			want[path] = strings.TrimPrefix(version, "v")
		}
	}
	have := map[string]string{}
	for _, p := range inv.Packages {
		if !strings.HasPrefix(p.Name, own) {
			have[p.Name] = p.Version
		}
	}
	must.Greater(t, 10, len(want))
	must.Eq(t, want, have)
}
