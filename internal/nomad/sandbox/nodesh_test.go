package sandbox

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// TestNodeScript_TellsNoPartForTheWhole runs the script with package managers that print a
// part, or complain. A package that is left out would be taken for one that is not installed.
func TestNodeScript_TellsNoPartForTheWhole(t *testing.T) {
	t.Parallel()
	const (
		says  = "#!/bin/sh\nprintf 'Package: bash\\nStatus: install ok installed\\nVersion: 1\\nArchitecture: all\\nSource: bash (1)\\n\\n'\n"
		lists = "#!/bin/sh\nprintf 'bash\\t(none)\\t5.2-1\\tx86_64\\t(none)\\t(none)\\n'\n"
	)
	debian := map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=12\n", "var/lib/dpkg/status": "Package: x\n"}
	fedora := map[string]string{"usr/lib/os-release": "ID=fedora\nVERSION_ID=42\n", "usr/lib/sysimage/rpm/rpmdb.sqlite": "x"}
	alpine := map[string]string{"etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n", "lib/apk/db/installed": "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\n\nP:zlib\nV:1.3-r0\nA:x86_64\n\n"}
	for name, c := range map[string]struct {
		files    map[string]string
		programs map[string]string
		want     string // packages, with their releases; empty when it must fail
		said     string
	}{
		"dpkg":                    {debian, map[string]string{"dpkg-query": says}, "bash Debian:12", ""},
		"dpkg fails half-way":     {debian, map[string]string{"dpkg-query": says + "echo 'database is locked' >&2; exit 2"}, "", "dpkg-query can't tell its database: database is locked"},
		"dpkg complains":          {debian, map[string]string{"dpkg-query": says + "echo 'dpkg-query: error: short read' >&2"}, "", "a part of its database"},
		"dpkg prints without end": {debian, map[string]string{"dpkg-query": "#!/bin/sh\nexec yes\n"}, "", "dpkg-query can't tell"},
		"rpm":                     {fedora, map[string]string{"rpm": lists}, "bash Fedora:42", ""},
		"rpm fails":               {fedora, map[string]string{"rpm": lists + "exit 1"}, "", "rpm can't tell"},
		"rpm can't open it":       {fedora, map[string]string{"rpm": "#!/bin/sh\necho 'error: cannot open Packages database' >&2"}, "", "cannot open Packages database"},
		"apk":                     {alpine, nil, "musl Alpine:v3.20.1, zlib Alpine:v3.20.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, "node.sh", nodeScript)
			for name, text := range c.files {
				s.put("root/"+name, text)
			}
			for name, text := range c.programs {
				s.put("bin/"+name, text)
			}
			report := s.path("report")
			said, err := s.run(nil, "node.sh", s.path("root"), s.path("rpm-format"), report)
			if c.want == "" {
				must.Error(t, err)
				must.StrContains(t, said, c.said)
				return
			}
			must.NoError(t, err, must.Sprint(said))
			_, inv := s.reported(report)
			var names []string
			for _, p := range inv.Packages {
				names = append(names, p.Name+" "+p.Release)
			}
			must.EqOp(t, c.want, strings.Join(names, ", "))
		})
	}
}
