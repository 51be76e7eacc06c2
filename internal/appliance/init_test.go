package appliance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// wrongs has files of the image that can't be read, and an rpm that breaks off.
const wrongs = `
root=$1 scratch=$2 wrong=$3
tell() { printf '%s\n' "$*"; }
cat() { case "$wrong $*" in "damaged "*openssl | "damaged "*installed) printf 'Package: op'; return 1 ;; *) command cat "$@" ;; esac; }
inside() { printf 'bash\t0\t5.2-1\tx86_64\t(none)\t(none)\n'; [ "$wrong" != "rpm" ]; }
tell "oakum 1"
read_databases
tell proved
tell end
`

// TestReadDatabases_TellsNoPartForTheWhole runs the part of the script that tells what is
// installed. A package that is left out would be taken for one that is not installed.
func TestReadDatabases_TellsNoPartForTheWhole(t *testing.T) {
	t.Parallel()
	functions, _, found := strings.Cut(string(initScript), "\nexport PATH=/bin\n")
	must.True(t, found)
	debian := map[string]string{"var/lib/dpkg/status": "Package: bash\n", "var/lib/dpkg/status.d/openssl": "Package: openssl\nDescription: no\n"}
	for name, c := range map[string]struct {
		files map[string]string
		wrong string
		want  map[string]string
	}{
		"dpkg":              {debian, "", map[string]string{"dpkg": "Package: bash\n\nPackage: openssl\n\n"}},
		"a damaged file":    {debian, "damaged", map[string]string{"dpkg": ""}},
		"apk":               {map[string]string{"lib/apk/db/installed": "C:1\nP:musl\n"}, "", map[string]string{"apk": "P:musl\n"}},
		"a damaged apk":     {map[string]string{"lib/apk/db/installed": "P:musl\n"}, "damaged", map[string]string{"apk": ""}},
		"rpm":               {map[string]string{"usr/bin/rpm": ""}, "", map[string]string{"rpm": "bash\t0\t5.2-1\tx86_64\t(none)\t(none)\n"}},
		"an rpm that fails": {map[string]string{"usr/bin/rpm": ""}, "rpm", map[string]string{"rpm": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			put := func(name, text string) {
				must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
				must.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o755))
			}
			put("run/oakum/patch/databases", `%{NAME}`)
			for name, text := range c.files {
				put(name, text)
			}
			said, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", functions+wrongs, "init", root, t.TempDir(), c.wrong).CombinedOutput()
			must.NoError(t, err, must.Sprint(string(said)))
			r, err := Parse(string(said))
			must.NoError(t, err, must.Sprint(string(said)))
			must.Eq(t, c.want, r.Databases)
		})
	}
}
