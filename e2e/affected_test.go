//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
)

// The jobs of TestImageAffected: a machine whose openssl has the fault, one whose openssl
// is fixed, and one without a package database.
const (
	behind = "affected-behind"
	ahead  = "affected-ahead"
	bare   = "affected-bare"
)

// affectedPolicy selects who is hit. What happens where nobody knows is the argument.
const affectedPolicy = `policy "affected" {
  applies = target.meta.packages == "debian"
  select {
    affected = true
    unknown  = %q
  }
  simulate {
    required = false
    seconds  = 20
    pairs    = 1
  }
  strategy "phased" {
    stages = [100]
  }
  judge {
    enabled = false
    kpi "error_rate" {
      abort_above   = "1.1x"
      promote_below = "2x"
      ignore_below  = 0.2
    }
  }
}
`

// affectedShop is three machines that serve as the store does, and an advisory about
// openssl.
type affectedShop struct {
	*oakum
	debian   *debian
	fixed    string // image in which openssl is fixed
	other    string // another name of it, which says nothing of its packages
	again    string // another name of the image with the fault
	folder   string // of this test's files
	advisory string // path of the document
	patch    string // path of the patch that brings the fixed image

	bills map[string]string // paths of what another program says is installed, by job
}

// TestImageAffected takes an advisory to machines with real Debian package databases: who
// is hit is patched, who is fixed is left alone, and of whom nobody knows the policy
// decides. What it says is held against dpkg-query, run in the machines.
func TestImageAffected(t *testing.T) {
	s := newAffectedShop(t)
	t.Run("files say who is hit", func(t *testing.T) { s.in(t).offline() })
	t.Run("inventories have what the machines have", func(t *testing.T) { s.in(t).inventories() })
	t.Run("the plan follows the policy where nobody knows", func(t *testing.T) { s.in(t).plans() })
	t.Run("a patch that leaves the fault where it is is told", func(t *testing.T) { s.in(t).useless() })
	t.Run("the rollouts take away what is affected", func(t *testing.T) { s.in(t).rollouts() })
}

func (s *affectedShop) in(t *testing.T) *affectedShop {
	c := *s
	c.oakum = s.oakum.in(t)
	return &c
}

func newAffectedShop(t *testing.T) *affectedShop {
	t.Helper()
	images := sharedStack(t).Images
	s := &affectedShop{
		oakum:  newReader(t, 1),
		debian: newDebian(t, images),
		fixed:  filepath.Join(images, "debian-1.1.qcow2"), folder: t.TempDir(),
	}
	folder, err := os.MkdirTemp(images, "affected-") //nolint:usetesting // Nomad takes images from below this folder only
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, os.RemoveAll(folder)) })
	s.other, s.again = filepath.Join(folder, "other.qcow2"), filepath.Join(folder, "again.qcow2")
	copyFile(t, s.fixed, s.other)
	copyFile(t, s.debian.image, s.again)
	for job, image := range map[string]string{behind: s.debian.image, ahead: s.other, bare: filepath.Join(images, "agent-1.0.qcow2")} {
		spec := machineJob(job, image)
		group := spec.TaskGroups[0]
		group.Meta["packages"] = "debian"
		group.Tasks = group.Tasks[:1] // a machine alone is enough
		group.Tasks[0].SetConfig("guest_agent", true)
		_, _, err := s.vendor.Jobs().Register(spec, nil)
		must.NoError(t, err)
		endJob(t, s.vendor, job)
	}
	s.advisory = s.write("OAKUM-2026-1.json", fmt.Sprintf(`{
  "schema_version": "1.7.3", "id": "OAKUM-2026-1", "upstream": ["CVE-2026-0001"], "summary": "openssl",
  "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
  "affected": [{"package": {"ecosystem": "Debian:12", "name": "openssl"},
    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": %q}]}]}]
}
`, s.debian.new))
	s.bills = map[string]string{behind: s.bill(s.debian.image), ahead: s.bill(s.fixed)}
	s.patch = s.bring("openssl-affected", "affected-*", s.fixed)
	return s
}

func (s *affectedShop) write(name, text string) string {
	path := filepath.Join(s.folder, name)
	must.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// bring writes a patch that takes the advisory's fault away by an image.
func (s *affectedShop) bring(name, jobs, image string) string {
	return s.write(name+".hcl", fmt.Sprintf(`patch %q {
  severity = "critical"
  advisory = file("OAKUM-2026-1.json")
  target {
    namespace = "default"
    jobs      = [%q]
  }
  apply "image" {
    task  = "vm"
    image = %q
  }
}
`, name, jobs, image))
}

// where puts a policy into force that says what happens where nobody knows.
func (s *affectedShop) where(unknown string) {
	s.t.Helper()
	s.does(s.pipeline, "policy", "apply", s.write("policy.hcl", fmt.Sprintf(affectedPolicy, unknown)))
}

// bill has syft write a bill of materials of a Debian image.
func (s *affectedShop) bill(image string) string {
	s.t.Helper()
	raw, tree := filepath.Join(s.t.TempDir(), "disk.raw"), s.t.TempDir()
	out := filepath.Join(s.folder, filepath.Base(image)+".cdx.json")
	for _, args := range [][]string{
		{"qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw},
		{"dd", "if=" + raw, "of=" + raw + ".root", "bs=1M", "skip=42", "conv=sparse", "status=none"},
		{"/usr/sbin/debugfs", "-R", "rdump / " + tree, raw + ".root"},
		{"go", "tool", "-modfile=internal/tools/sbom/go.mod", "syft", "scan", "dir:" + tree, "--quiet", "--output", "cyclonedx-json=" + out},
	} {
		command := exec.CommandContext(s.t.Context(), args[0], args[1:]...) //nolint:gosec // the test's own files
		command.Dir = root(s.t)
		text, err := command.CombinedOutput()
		must.NoError(s.t, err, must.Sprint(args, string(text)))
	}
	return out
}

// offline asks files alone, in which another program says what is installed.
func (s *affectedShop) offline() {
	old, fixed := s.bills[behind], s.bills[ahead]
	for name, c := range map[string]struct {
		inventories []string
		code        int
		want        []api.AssessmentStatus
	}{
		"hit":               {[]string{old}, 2, []api.AssessmentStatus{api.AssessmentAffected}},
		"fixed":             {[]string{fixed}, 0, []api.AssessmentStatus{api.AssessmentFixed}},
		"one hit is enough": {[]string{fixed, old}, 2, []api.AssessmentStatus{api.AssessmentFixed, api.AssessmentAffected}},
	} {
		s.t.Run(name, func(t *testing.T) {
			args := []string{"patch", "affected", "-json", s.patch}
			for _, i := range c.inventories {
				args = append(args, "-inventory="+i)
			}
			res := s.Oakum(t.Context(), "", args...)
			must.Eq(t, c.code, res.Code, must.Sprint(res.Stdout, res.Stderr))
			var report api.AffectedReport
			must.NoError(t, json.Unmarshal([]byte(res.Stdout), &report))
			must.Len(t, len(c.inventories), report.Assessments)
			for i, a := range report.Assessments {
				must.EqOp(t, c.want[i], a.Status, must.Sprint(a.Reason))
				must.Eq(t, c.inventories[i], a.Inventory)
				hit := map[string]string{}
				for _, p := range a.Packages {
					hit[p.Name+" "+p.Version] = p.Fixed
				}
				if a.Status == api.AssessmentAffected {
					must.Eq(t, map[string]string{"libssl3 " + s.debian.old: s.debian.new, "openssl " + s.debian.old: s.debian.new}, hit)
				}
			}
			t.Log(s.Oakum(t.Context(), "", append([]string{"patch", "affected"}, args[3:]...)...).Stdout)
		})
	}
}

// untilRead waits until the leader has read the image that a job runs now.
func (s *affectedShop) untilRead(job string) {
	s.t.Helper()
	ref := "default/" + job + "/store"
	var res daemon.Result
	eventuallySay(s.t, 5*time.Minute, func() bool {
		res = s.Oakum(s.t.Context(), s.pipeline, "inventory", "show", "target:"+ref)
		return res.Code == 0
	}, func() string { return "an inventory of " + ref + ": " + res.Stdout + res.Stderr })
}

// inventories holds what Oakum has of each machine against what dpkg-query says in it.
func (s *affectedShop) inventories() {
	for job, document := range s.bills {
		s.untilRead(job)
		must.Eq(s.t, s.query(job), s.kept(job), must.Sprint(job))
		// What syft says of it differs in nothing, so that nobody is in doubt.
		s.does(s.pipeline, "inventory", "put", "-target=default/"+job+"/store", document)
		must.Eq(s.t, s.query(job), s.kept(job), must.Sprint(job))
	}
	s.inGuest(bare, "/bin/sh", "-c", "test ! -e /var/lib/dpkg")
	eventually(s.t, "Oakum has tried to read the image without packages", 5*time.Minute, func() bool {
		res := s.Oakum(s.t.Context(), s.pipeline, "inventory", "show", "target:default/"+bare+"/store")
		must.Eq(s.t, 3, res.Code, must.Sprint(res.Stdout, res.Stderr))
		return strings.Contains(res.Stderr, "there is no database of dpkg, apk or rpm")
	})
}

// query is what dpkg-query says in the machine of a job, a line for each package, sorted.
func (s *affectedShop) query(job string) []string {
	s.t.Helper()
	out := s.inGuest(job, "/usr/bin/dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version} ${Architecture}\n")
	var lines []string
	for line := range strings.Lines(out) {
		rest, installed := strings.CutPrefix(strings.TrimSpace(line), "installed ")
		must.True(s.t, installed, must.Sprint(line))
		lines = append(lines, rest)
	}
	slices.Sort(lines)
	must.Greater(s.t, 30, len(lines))
	return lines
}

// kept is what Oakum's inventory of a target says of the packages of Debian, likewise.
func (s *affectedShop) kept(job string) []string {
	s.t.Helper()
	var list []api.Inventory
	must.NoError(s.t, json.Unmarshal([]byte(s.does(s.pipeline, "inventory", "show", "-json", "target:default/"+job+"/store").Stdout), &list))
	must.Len(s.t, 1, list)
	var lines []string
	for _, p := range list[0].Packages {
		if p.Ecosystem == "deb" {
			lines = append(lines, p.Name+" "+p.Version+" "+p.Arch)
			must.StrHasPrefix(s.t, "Debian:12", p.Release)
		}
	}
	slices.Sort(lines)
	return lines
}

// plans asks what the patch would do, by each policy of what nobody knows.
func (s *affectedShop) plans() {
	for _, unknown := range []string{"exclude", "include", "hold"} {
		s.t.Run(unknown, func(t *testing.T) {
			s := s.in(t)
			s.where(unknown)
			var receipt api.PatchReceipt
			must.NoError(t, json.Unmarshal([]byte(s.does(s.pipeline, "patch", "plan", "-json", s.patch).Stdout), &receipt))
			plan := receipt.Plan
			must.SliceEmpty(t, plan.Refusals)
			planned, left := map[string]api.PlannedTarget{}, map[string]api.NothingToDo{}
			for _, w := range plan.Waves {
				for _, p := range w.Targets {
					planned[p.Target.Job] = p
				}
			}
			for _, n := range plan.NothingToDo {
				left[n.Target.Job] = n
			}
			must.EqOp(t, api.AssessmentAffected, planned[behind].Assessment.Status)
			must.Eq(t, map[string]string{"libssl3": s.debian.new, "openssl": s.debian.new}, planned[behind].Assessment.Fixed)
			must.False(t, planned[behind].Decision.Simulate.Required)
			must.Zero(t, planned[behind].Decision.Approval.Count)
			must.EqOp(t, api.AssessmentFixed, left[ahead].Status)
			must.False(t, left[ahead].Unchanged)
			must.StrContains(t, left[ahead].Reason, "it is fixed already: ")
			switch unknown {
			case "exclude":
				must.EqOp(t, api.AssessmentUnknown, left[bare].Status)
				must.True(t, left[bare].MayBeAffected())
			case "include":
				must.True(t, planned[bare].Decision.Simulate.Required)
			case "hold":
				must.EqOp(t, 1, planned[bare].Decision.Approval.Count)
			}
			must.MapLen(t, map[string]int{"exclude": 1, "include": 2, "hold": 2}[unknown], planned)
			must.MapLen(t, map[string]int{"exclude": 2, "include": 1, "hold": 1}[unknown], left)
			text := s.does(s.pipeline, "patch", "plan", s.patch).Stdout
			t.Log(text)
			must.StrContains(t, text, "Nothing to do")
		})
	}
}

// complies asks the report for what it says of each machine, and checks its exit code.
func (s *affectedShop) complies(code int, want map[string]api.ComplianceStatus) api.AdvisoryCompliance {
	s.t.Helper()
	s.t.Log(s.Oakum(s.t.Context(), s.pipeline, "compliance").Stdout)
	res := s.Oakum(s.t.Context(), s.pipeline, "compliance", "-json", "CVE-2026-0001")
	must.Eq(s.t, code, res.Code, must.Sprint(res.Stdout, res.Stderr))
	var report api.Compliance
	must.NoError(s.t, json.Unmarshal([]byte(res.Stdout), &report))
	must.Len(s.t, 1, report.Advisories)
	found := map[string]api.ComplianceStatus{}
	for _, one := range report.Advisories[0].Targets {
		found[one.Target.Job] = one.Status
	}
	must.Eq(s.t, want, found)
	return report.Advisories[0]
}

// useless carries out a patch whose image still has the fault.
func (s *affectedShop) useless() {
	r := s.ended(s.submit(s.bring("openssl-useless", behind, s.again)), api.RolloutComplete)
	s.proven(r.ID, api.AssessmentAffected)
	must.SliceContains(s.t, s.query(behind), "openssl "+s.debian.old+" amd64")
	a := s.complies(2, map[string]api.ComplianceStatus{behind: api.ComplianceAffected, ahead: api.ComplianceFixed, bare: api.ComplianceUnknown})
	must.Nil(s.t, a.Times, must.Sprint("nothing was fixed by a rollout"))
}

// proven waits until a rollout says whether the fault is gone: the image that runs now is
// read before.
func (s *affectedShop) proven(id string, want api.AssessmentStatus) {
	s.t.Helper()
	s.until(id, func(r api.Rollout) bool { return r.Proof != nil && r.Proof.Status == want })
}

// rollouts carries the patch out: at once where the fault is known to be. Where nobody knows,
// it waits for a person, or for a simulation that passes, as the policy says.
func (s *affectedShop) rollouts() {
	s.where("hold")
	// Once the patch is submitted, nobody knows for how long the former machine runs.
	must.SliceContains(s.t, s.query(behind), "openssl "+s.debian.old+" amd64")
	var receipt api.PatchReceipt
	must.NoError(s.t, json.Unmarshal([]byte(s.does(s.pipeline, "patch", "submit", "-json", s.patch).Stdout), &receipt))
	must.Len(s.t, 2, receipt.Rollouts)
	of := map[string]string{}
	for _, id := range receipt.Rollouts {
		r := s.until(id, func(api.Rollout) bool { return true })
		of[r.Target.Job] = id
	}
	must.MapContainsKeys(s.t, of, []string{behind, bare})

	s.ended(of[behind], api.RolloutComplete)
	s.proven(of[behind], api.AssessmentFixed)
	must.SliceContains(s.t, s.query(behind), "openssl "+s.debian.new+" amd64")
	must.Eq(s.t, s.query(ahead), s.query(behind))
	must.Eq(s.t, s.query(behind), s.kept(behind))
	r := s.until(of[bare], func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
	must.Zero(s.t, len(r.Stages))
	a := s.complies(3, map[string]api.ComplianceStatus{behind: api.ComplianceFixed, ahead: api.ComplianceFixed, bare: api.ComplianceUnknown})
	must.NotNil(s.t, a.Times)
	must.EqOp(s.t, 1, a.Times.Targets, must.Sprint("the other one was fixed before anybody asked"))

	s.does(s.alice, "rollout", "abort", of[bare])
	s.ended(of[bare], api.RolloutCancelled)

	s.where("include")
	tried := s.submit(s.patch) // for the rest, which is one machine
	r = s.ended(tried, api.RolloutComplete)
	must.EqOp(s.t, bare, r.Target.Job)
	must.SliceEmpty(s.t, r.Approvals)
	cl, err := s.Client(s.pipeline)
	must.NoError(s.t, err)
	defer cl.Close()
	sim, _, err := cl.Simulation(s.t.Context(), r.Simulation, client.Query{})
	must.NoError(s.t, err)
	must.EqOp(s.t, api.SimulationPassed, sim.Status)
	must.True(s.t, sim.Started.Before(r.Stages[0].Began), must.Sprint("it was tried before the machine was touched"))
	s.proven(tried, api.AssessmentFixed)
	must.Eq(s.t, s.query(ahead), s.query(bare))
	s.complies(0, map[string]api.ComplianceStatus{behind: api.ComplianceFixed, ahead: api.ComplianceFixed, bare: api.ComplianceFixed})
}
