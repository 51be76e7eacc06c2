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
inside() {
	case $* in *FILENAMES*) printf '/usr/lib/a.jar\n/usr/bin/a\n'; return ;; esac
	[ "$wrong" != "damaged rpm" ] || echo 'error: rpmdbNextIterator: skipping h# 12' >&2
	[ "$wrong" != "blind rpm" ] || return 0; printf 'bash\t0\t5.2-1\tx86_64\t(none)\t(none)\n'
	[ "$wrong" != "rpm" ]
}
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
	const bash = "bash\t0\t5.2-1\tx86_64\t(none)\t(none)\n"
	const oakum = "#!/bin/sh\nwith=\ncase $3 in -owned=*) with=\"with $(cat \"${3#-owned=}\")\" ;; esac\necho \"$1 $2 $with\"\n"
	rpm := func(names ...string) map[string]string {
		files := map[string]string{}
		for _, name := range names {
			files[name] = "x"
		}
		return files
	}
	for name, c := range map[string]struct {
		files map[string]string
		wrong string
		want  map[string]string
	}{
		"dpkg":                 {debian, "", map[string]string{"dpkg": "Package: bash\n\nPackage: openssl\n\n"}},
		"a damaged file":       {debian, "damaged", map[string]string{"dpkg": ""}},
		"apk":                  {map[string]string{"lib/apk/db/installed": "C:1\nP:musl\n"}, "", map[string]string{"apk": "P:musl\n"}},
		"a damaged apk":        {map[string]string{"lib/apk/db/installed": "P:musl\n"}, "damaged", map[string]string{"apk": ""}},
		"rpm of SQLite":        {rpm("usr/bin/rpm", "var/lib/rpm/rpmdb.sqlite"), "", map[string]string{"rpm": bash}},
		"rpm of ndb":           {rpm("usr/bin/rpm", "usr/lib/sysimage/rpm/Packages.db"), "", map[string]string{"rpm": bash}},
		"rpm of Berkeley DB":   {rpm("bin/rpm", "var/lib/rpm/Packages"), "", map[string]string{"rpm": bash}},
		"an rpm that fails":    {rpm("usr/bin/rpm", "var/lib/rpm/rpmdb.sqlite"), "rpm", map[string]string{"rpm": ""}},
		"an rpm that skips":    {rpm("usr/bin/rpm", "var/lib/rpm/rpmdb.sqlite"), "damaged rpm", map[string]string{"rpm": ""}},
		"a database of no rpm": {rpm("usr/lib/sysimage/rpm/Packages.db"), "", map[string]string{"rpm": ""}},
		"ndb is not known":     {rpm("usr/bin/rpm", "usr/lib/sysimage/rpm/Packages.db"), "blind rpm", map[string]string{"rpm": ""}},
		"a tool on Debian": {
			map[string]string{"var/lib/dpkg/status": "Package: bash\n", "usr/bin/rpm": "x", "var/lib/rpm/rpmdb.sqlite": "x"}, "blind rpm",
			map[string]string{"dpkg": "Package: bash\n\n"},
		},
		"manifests": {
			map[string]string{"var/lib/dpkg/status": "Package: bash\n", "run/oakum/patch/oakum": oakum}, "",
			map[string]string{"dpkg": "Package: bash\n\n", "languages": "appliance manifests \n"},
		},
		"manifests beside those of rpm": {
			map[string]string{"usr/bin/rpm": "x", "var/lib/rpm/rpmdb.sqlite": "x", "run/oakum/patch/oakum": oakum}, "",
			map[string]string{"rpm": bash, "languages": "appliance manifests with /usr/lib/a.jar\n"},
		},
		"manifests that can't be read": {
			map[string]string{"var/lib/dpkg/status": "Package: bash\n", "run/oakum/patch/oakum": oakum + "exit 1\n"}, "",
			map[string]string{"dpkg": "Package: bash\n\n", "languages": ""},
		},
		"a tool alone": {rpm("usr/bin/rpm"), "", nil},
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
