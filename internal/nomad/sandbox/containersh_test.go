package sandbox

import (
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// fakeDocker answers as Docker does for a container whose image has the files below $FILES.
// $WRONG says what goes wrong.
const fakeDocker = `#!/bin/sh
case $1 in
ps) echo id ;;
inspect)
	case $* in
	*"container {{.Name}}"*) echo "container /app-1 sha256:` + "$(printf %064d 1)" + `" ;;
	*) echo sha256:` + "$(printf %064d 1)" + ` ;;
	esac ;;
image | create | rm) ;;
start)
	[ "$WRONG" != "endless rpm" ] || exec yes
	[ "$WRONG" != "failing rpm" ] || { printf 'bash\t(none)\t5.2-1\tx86_64\t(none)\t(none)\n'; exit 1; }
	[ "$WRONG" != "damaged rpm" ] || echo 'error: rpmdbNextIterator: skipping h# 12 Header V4 RSA/SHA256 Signature: BAD' >&2
	printf 'bash\t(none)\t5.2-1\tx86_64\t(none)\t(none)\n' ;;
cp)
	at=$FILES${2#*:}
	case "$WRONG $at" in
	"no answer "*status.d) echo "Error response from daemon: timeout" >&2; exit 1 ;;
	"gone "*status.d) echo "failed to connect to the docker API at unix:///run/docker.sock: dial unix /run/docker.sock: connect: no such file or directory" >&2; exit 1 ;;
	"cut "*status.d) tar -c -C "$(dirname "$at")" "$(basename "$at")" | head -c 1100; exit 0 ;;
	esac
	[ -e "$at" ] || { echo "Error response from daemon: Could not find the file ${2#*:} in container ${2%%:*}" >&2; exit 1; }
	tar -c -C "$(dirname "$at")" "$(basename "$at")" ;;
esac
`

// TestContainerScript_TellsNoPartForTheWhole runs the script with a Docker that answers with
// a part. A package that is left out would be taken for one that is not installed.
func TestContainerScript_TellsNoPartForTheWhole(t *testing.T) {
	t.Parallel()
	stanza := func(name string) string { return "Package: " + name + "\nVersion: 1\nArchitecture: all\n" }
	debian := map[string]string{
		"etc/os-release": "ID=debian\nVERSION_ID=12\n", "var/lib/dpkg/status": stanza("bash"), "var/lib/dpkg/status.d/openssl": stanza("openssl"),
	}
	fedora := map[string]string{"etc/os-release": "ID=fedora\nVERSION_ID=42\n", "var/lib/rpm/rpmdb.sqlite": "x"}
	for name, c := range map[string]struct {
		files map[string]string
		wrong string
		want  string // packages; empty when it must fail
	}{
		"all of dpkg":        {debian, "", "bash openssl"},
		"no second folder":   {map[string]string{"var/lib/dpkg/status": stanza("bash")}, "", "bash"},
		"Docker is busy":     {debian, "no answer", ""},
		"Docker is gone":     {debian, "gone", ""},
		"an archive is cut":  {debian, "cut", ""},
		"all of rpm":         {fedora, "", "bash"},
		"rpm fails half-way": {fedora, "failing rpm", ""},
		"rpm skips a part":   {fedora, "damaged rpm", ""},
		"rpm never ends":     {fedora, "endless rpm", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, "container.sh", containerScript)
			s.put("bin/docker", fakeDocker)
			for name, text := range c.files {
				s.put("files/"+name, text)
			}
			report := s.path("report")
			env := []string{"NOMAD_ALLOC_ID=1", "OAKUM_DOCKER_HOST=", "FILES=" + s.path("files"), "WRONG=" + c.wrong}
			said, err := s.run(env, "container.sh", "app-1", "", s.path("rpm-format"), report, "n1", "n1")
			if c.want == "" {
				must.Error(t, err)
				var size int64
				for _, made := range []string{"rpm", "said", "tar"} {
					if info, err := os.Stat(s.path("work/" + made)); err == nil {
						size += info.Size()
					}
				}
				must.LessEq(t, 200<<20, size, must.Sprint("the node's disk stays free"))
				return
			}
			must.NoError(t, err, must.Sprint(said))
			_, inv := s.reported(report)
			var names []string
			for _, p := range inv.Packages {
				names = append(names, p.Name)
			}
			must.EqOp(t, c.want, strings.Join(names, " "))
		})
	}
}
