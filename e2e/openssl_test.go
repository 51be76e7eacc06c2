//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// opensslPolicy tries the machine's patch on twins, and then moves one instance at a
// time.
const opensslPolicy = `policy "bank" {
  applies  = target.job == "bank"
  critical = true
  simulate {
    required        = true
    seconds         = 20
    on_inconclusive = "one_first"
  }
  strategy "phased" {
    stages = [50, 100]
  }
  judge {
    enabled = false
    kpi "error_rate" {
      abort_above   = "1.1x"
      promote_below = "2x"
      ignore_below  = 0.1
    }
  }
}
`

// debian is a machine's image with Debian's packages, an openssl that is out of date,
// and the packages of a newer one, which a server on loopback serves.
type debian struct {
	image    string
	old, new string // versions of openssl
	packages []string
	sums     []string // of the packages, "sha256:..."
	mirror   *httptest.Server
}

func newDebian(t *testing.T, images string) *debian {
	t.Helper()
	folder := filepath.Join(images, "debian")
	d := &debian{image: filepath.Join(images, "debian-1.0.qcow2"), mirror: httptest.NewServer(http.FileServer(http.Dir(folder)))}
	t.Cleanup(d.mirror.Close)
	versions, err := os.ReadFile(filepath.Join(folder, "versions"))
	must.NoError(t, err)
	d.old, d.new, _ = strings.Cut(strings.TrimSpace(string(versions)), " ")
	files, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	must.NoError(t, err)
	must.Len(t, 2, files)
	for _, f := range files {
		d.packages = append(d.packages, filepath.Base(f))
		d.sums = append(d.sums, "sha256:"+digestOf(t, f))
	}
	return d
}

// patch is a patch file that brings a job's openssl up to date.
func (d *debian) patch(name, job, script, below string) string {
	payloads := ""
	for i, p := range d.packages {
		payloads += fmt.Sprintf("    payload %q {\n      source   = \"%s/%s\"\n      checksum = %q\n    }\n", strings.Split(p, "_")[0], d.mirror.URL, p, d.sums[i])
	}
	return fmt.Sprintf(`patch %q {
  severity = "critical"
  affects "deb" {
    package = "openssl"
    below   = %q
  }
  target {
    namespace = "default"
    jobs      = [%q]
  }
  apply "script" {
    task   = "vm"
    script = %q
%s    verify {
      command = "dpkg-query -W openssl libssl3 && openssl version"
      expect  = %q
    }
  }
}
`, name, below, job, script, payloads, strings.Split(below, "-")[0])
}

// TestOpenSSL brings a machine's openssl up to date: from Debian's own packages, in a
// machine that is nobody's host, proved by its version, and shipped as it was tried.
func TestOpenSSL(t *testing.T) {
	o := newOakum(t, 1, "", opensslPolicy)
	d := newDebian(t, sharedStack(t).Images)
	folder, err := os.MkdirTemp(sharedStack(t).Images, "bank-") //nolint:usetesting // Nomad takes images from below this folder only
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, os.RemoveAll(folder)) })
	image := filepath.Join(folder, "bank-1.0.qcow2")
	copyFile(t, d.image, image)
	job := machineJob("bank", image)
	job.TaskGroups[0].Count = new(2)
	_, _, err = o.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, o.vendor, "bank")
	eventually(t, "two machines serve", 3*time.Minute, func() bool {
		n := 0
		allocs, _, err := o.vendor.Jobs().Allocations("bank", false, nil)
		for _, a := range allocs {
			if a.ClientStatus == "running" {
				n++
			}
		}
		return err == nil && n == 2
	})

	eventually(t, "the cluster takes patches with payloads", time.Minute, func() bool {
		return !slices.ContainsFunc(o.states(), func(s api.StateInfo) bool { return s.Level < levels.Five })
	})

	t.Run("a script that leaves the package as it is does not fix it", func(t *testing.T) {
		o := o.in(t)
		id := o.submit(o.file("nothing.hcl", d.patch("openssl-nothing", "bank", "true", d.new)))
		r := o.ended(id, api.RolloutRejected)
		must.StrContains(t, r.Reason, "openssl")
		must.StrContains(t, r.Reason, d.old)
	})

	t.Run("an image that still has the package is looked into", func(t *testing.T) {
		o := o.in(t)
		again := filepath.Join(folder, "bank-1.0-again.qcow2")
		copyFile(t, d.image, again)
		id := o.submit(o.file("again.hcl", fmt.Sprintf(`patch "openssl-again" {
  severity = "critical"
  affects "deb" {
    package = "openssl"
    below   = %q
  }
  target {
    namespace = "default"
    jobs      = ["bank"]
  }
  apply "image" {
    task  = "vm"
    image = %q
  }
}
`, d.new, again)))
		r := o.ended(id, api.RolloutRejected)
		must.StrContains(t, r.Reason, "package openssl is still "+d.old+" after the patch")
	})

	t.Run("the newer packages are tried, proved and shipped", func(t *testing.T) {
		o := o.in(t)
		id := o.submit(o.file("openssl.hcl", d.patch("openssl-new", "bank", "set -e\ncd /run/oakum/payload\nDEBIAN_FRONTEND=noninteractive dpkg -i *.deb\n", d.new)))
		r := o.ended(id, api.RolloutComplete)
		var s api.Simulation
		must.NoError(t, json.Unmarshal([]byte(o.does(o.pipeline, "simulation", "read", "-json", r.Simulation).Stdout), &s))
		must.SliceContains(t, []api.SimulationStatus{api.SimulationPassed, api.SimulationInconclusive}, s.Status)
		found := map[string]api.PackageChange{}
		for _, p := range s.Impact.Packages {
			found[p.Name] = p
		}
		must.Eq(t, api.PackageChange{Name: "openssl", Before: d.old, After: d.new}, found["openssl"])
		must.SliceNotEmpty(t, s.Impact.Proofs)
		for _, p := range s.Impact.Proofs {
			must.True(t, p.OK, must.Sprint(p.Command, p.Output))
		}

		// What production runs is what was judged, byte for byte.
		now, _, err := o.vendor.Jobs().Info("bank", nil)
		must.NoError(t, err)
		shipped, _ := now.TaskGroups[0].Tasks[0].Config["image_path"].(string)
		must.NotEq(t, image, shipped)
		judged := ""
		for _, twin := range s.Impact.Twins {
			if twin.Role == "treatment" {
				judged = twin.ImageDigest
			}
		}
		must.Eq(t, digestOf(t, shipped), judged)
		must.StrContains(t, installed(t, shipped), d.new)
		must.StrContains(t, installed(t, image), d.old, must.Sprint("the image that was patched is untouched"))
	})
}

// installed is the entry of openssl in an image's package database, read without
// mounting anything.
func installed(t *testing.T, image string) string {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "disk.raw")
	root := filepath.Join(t.TempDir(), "root.raw")
	for _, args := range [][]string{
		{"qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw},
		{"dd", "if=" + raw, "of=" + root, "bs=1M", "skip=42", "conv=sparse", "status=none"},
	} {
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput() //nolint:gosec // the test's own files
		must.NoError(t, err, must.Sprint(string(out)))
	}
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "/usr/sbin/debugfs", "-R", "cat /var/lib/dpkg/status", root).Output() //nolint:gosec // the test's own file
	must.NoError(t, err)
	for entry := range strings.SplitSeq(string(out), "\n\n") {
		if strings.HasPrefix(strings.TrimSpace(entry), "Package: openssl\n") {
			return entry
		}
	}
	return ""
}

func digestOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must.NoError(t, err)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(to, content, 0o600))
}
