package appliance

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"
)

// whole is a report of a patch of two scripts, of which the second one has a command
// that proves the fix.
const whole = `oakum 1
root /dev/vda2 ext4
before openssl 3.0.17-1
script 0
killed 0
status 0
script 1
killed 0
status 0
verify 1 0
killed 0
output My4wLjIyCg==
status 0
after openssl 3.0.22-1
kernel 6.1.0-9-cloud-amd64
kernel 6.1.0-57-cloud-amd64
kernel 0-rescue-6.9
proved
end
image 0a
`

func TestParse_ReadsAWholeReport(t *testing.T) {
	r, err := Parse(strings.ReplaceAll(whole, "\nend", "\r\nend"))
	must.NoError(t, err)
	must.Eq(t, &Report{
		Root: "/dev/vda2 ext4", Before: map[string]string{"openssl": "3.0.17-1"}, After: map[string]string{"openssl": "3.0.22-1"},
		Scripts: []Run{{Step: 0}, {Step: 1}}, Verifies: []Run{{Step: 1, Output: "3.0.22\n"}},
		Kernels: []string{"6.1.0-9-cloud-amd64", "6.1.0-57-cloud-amd64", "0-rescue-6.9"}, Proved: true, Ended: true, Digest: "0a",
	}, r)
	must.EqOp(t, "6.1.0-57-cloud-amd64", r.Kernel())
	_, _, running := r.Running()
	must.False(t, running)
}

func TestParse_TellsWhatRanWhenTheMachineWasKilled(t *testing.T) {
	r, err := Parse("oakum 1\nroot /dev/vda ext4\nscript 0\nkilled 0\nstatus 0\nscript 1\nkil")
	must.NoError(t, err)
	run, verify, running := r.Running()
	must.True(t, running)
	must.False(t, verify)
	must.Eq(t, Run{Step: 1, Status: -1}, run)
	must.False(t, r.Ended)

	r, err = Parse("oakum 1\nscript 0\nkilled 0\nstatus 0\nverify 0 0\n")
	must.NoError(t, err)
	_, verify, running = r.Running()
	must.True(t, running && verify)
}

func TestParse_RefusesWhatTheApplianceDoesNotWrite(t *testing.T) {
	for name, text := range map[string]string{
		"another version":        "oakum 2\n",
		"no version":             "root /dev/vda ext4\n",
		"a version again":        "oakum 1\noakum 1\n",
		"a word of its own":      "oakum 1\nproof\n",
		"a status of nothing":    "oakum 1\nstatus 0\n",
		"a status twice":         "oakum 1\nscript 0\nstatus 0\nstatus 0\n",
		"a negative status":      "oakum 1\nscript 0\nstatus -1\n",
		"a script out of order":  "oakum 1\nscript 1\n",
		"a script after failure": "oakum 1\nscript 0\nstatus 1\nscript 1\n",
		"a script after verify":  "oakum 1\nscript 0\nstatus 0\nverify 0 0\nstatus 0\nscript 1\n",
		"a verify of nothing":    "oakum 1\nscript 0\nstatus 0\nverify 1 0\n",
		"output of a script":     "oakum 1\nscript 0\noutput YQ==\n",
		"output in other words":  "oakum 1\nscript 0\nstatus 0\nverify 0 0\noutput ?\n",
		"missing of a script":    "oakum 1\nscript 0\nstatus 0\nmissing\n",
		"a database twice":       "oakum 1\ndatabase apk \ndatabase apk \n",
		"an unknown database":    "oakum 1\ndatabase brew \n",
		"a database in words":    "oakum 1\ndatabase apk ?\n",
		"an unpacked database":   "oakum 1\ndatabase apk UDphCg==\n",
		"a bomb":                 "oakum 1\ndatabase apk " + pack(strings.Repeat("\n", databaseMax+1)) + "\n",
		"a package alone":        "oakum 1\nafter openssl\n",
		"more after the end":     "oakum 1\nend\nproved\n",
		"an unproved image":      "oakum 1\nend\nimage 0a\n",
		"two images":             "oakum 1\nproved\nend\nimage 0a\nimage 0b\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(text)
			must.ErrorContains(t, err, "read report of the appliance: line ")
		})
	}
}

// pack packs a text as the appliance does.
func pack(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	if err = errors.Join(err, w.Close()); err != nil {
		return err.Error()
	}
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

func TestParse_ReadsDatabases(t *testing.T) {
	r, err := Parse("oakum 1\ndatabase system " + pack("ID=debian\n") + "\ndatabase dpkg " + pack("Package: bash\n") + "\ndatabase rpm \n")
	must.NoError(t, err)
	must.Eq(t, map[string]string{"system": "ID=debian\n", "dpkg": "Package: bash\n", "rpm": ""}, r.Databases)
}

// TestParse_TakesEveryBeginning: a machine may be killed at any byte.
func TestParse_TakesEveryBeginning(t *testing.T) {
	for end := range len(whole) {
		_, err := Parse(whole[:end])
		must.NoError(t, err, must.Sprint(whole[:end]))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("oakum 1\ndatabase apk " + pack("P:musl\n") + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err == nil && r.Digest != "" {
			must.True(t, r.Proved && r.Ended)
		}
	})
}

func TestKernel_IsTheNewest(t *testing.T) {
	for want, versions := range map[string][]string{
		"":                     {"0-rescue-0a1b"},
		"6.10.1":               {"6.9.12", "6.10.1", "6.2"},
		"5.14.0-503.el9":       {"5.14.0-70.el9", "5.14.0-503.el9"},
		"6.1.0-057-generic":    {"6.1.0-9-generic", "6.1.0-057-generic"},
		"6.1.0-9-cloud-amd64x": {"6.1.0-9-cloud-amd64", "6.1.0-9-cloud-amd64x"},
	} {
		r := Report{Kernels: versions}
		must.EqOp(t, want, r.Kernel())
	}
}

func TestCompareVersions_IsAnOrder(t *testing.T) {
	version := rapid.StringMatching(`[0-9a-z.é-]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		must.EqOp(t, compareVersions(a, b) < 0, compareVersions(b, a) > 0)
		if compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0 {
			must.LessEq(t, 0, compareVersions(a, c))
		}
	})
}
