package sandbox

import (
	"archive/tar"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

const checksum = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

// bakeSpec is a patch of two scripts. The second one has a payload and a proof.
func bakeSpec() twin.BakeSpec {
	return twin.BakeSpec{
		Job: "oakum-twin-s-1-bake", Target: api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}, Node: "n1", Image: "/images/store.qcow2", Result: "/images/store+1.qcow2", Packages: []string{"openssl"}, RPMFormat: `%{NAME}\n`,
		Steps: []twin.Step{
			{Script: "cat <<'E'\ncaf\xe9 ${HOME} {{ now }} [[[\nE\n"},
			{
				Script:   "dpkg -i *.deb",
				Payloads: []api.Payload{{Name: "deb", Source: "https://mirror.example/pool/openssl_3.0.22_amd64.deb?x=1", Checksum: checksum}},
				Verify:   []api.Verify{{Command: "openssl version", Expect: "3.0.22"}},
			},
		},
	}
}

// machineOf is the task of a job's machine.
func machineOf(job *nomadapi.Job) *nomadapi.Task { return job.TaskGroups[0].Tasks[1] }

func testAppliance() appliance.Appliance {
	return appliance.Appliance{
		Kernel: appliance.File{Source: "https://files.example/vmlinuz", Checksum: checksum},
		Initrd: appliance.File{Source: "/opt/oakum/initrd", Checksum: checksum}, Memory: 512, Within: 10 * time.Minute,
	}
}

// patchFiles are the files that a job puts on the patch's disk, payloads aside.
func patchFiles(t *testing.T, job *nomadapi.Job) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, tmpl := range job.TaskGroups[0].Tasks[0].Templates {
		if *tmpl.DestPath != "local/patch.tar.b64" {
			continue
		}
		archive := tar.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(*tmpl.EmbeddedTmpl)))
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				return out
			}
			must.NoError(t, err)
			content, err := io.ReadAll(archive)
			must.NoError(t, err)
			out[header.Name] = string(content)
		}
	}
	return out
}

func TestBakeJob_SendsThePatchAsItIs(t *testing.T) {
	spec := bakeSpec()
	job, err := bakeJob(production(), spec, testAppliance(), machineOf(production()), []string{"/images"})
	must.NoError(t, err)
	must.Eq(t, map[string]string{
		"0/": "", "0/payload/": "", "0/verify/": "", "0/script": spec.Steps[0].Script,
		"1/": "", "1/payload/": "", "1/verify/": "", "1/script": "dpkg -i *.deb", "1/verify/0": "openssl version", "1/verify/0.expect": "3.0.22",
		"packages": "openssl\n", "databases": `%{NAME}\n`,
	}, patchFiles(t, job))
	for _, tmpl := range job.TaskGroups[0].Tasks[0].Templates {
		must.StrNotContains(t, *tmpl.EmbeddedTmpl, *tmpl.LeftDelim, must.Sprint("Nomad's template engine changes nothing"))
	}
}

func TestBakeJob_FetchesByChecksumOnly(t *testing.T) {
	like := production()
	vm := machineOf(like).SetConfig("accelerator", "kvm")
	like.TaskGroups[0].Meta[qemu.FormatMeta] = "raw"
	spec := bakeSpec()
	spec.Image = "/images/store.img"
	job, err := bakeJob(like, spec, testAppliance(), vm, []string{"/images"})
	must.NoError(t, err)
	task := job.TaskGroups[0].Tasks[0]
	must.Len(t, 2, task.Artifacts)
	for i, want := range []string{"local/appliance/vmlinuz", "local/patch/1/payload/openssl_3.0.22_amd64.deb"} {
		must.EqOp(t, want, *task.Artifacts[i].RelativeDest)
		must.EqOp(t, "file", *task.Artifacts[i].GetterMode)
		must.Eq(t, map[string]string{"checksum": checksum, "archive": "false"}, task.Artifacts[i].GetterOptions)
	}
	must.EqOp(t, "${NOMAD_TASK_DIR}/appliance/vmlinuz", task.Env["OAKUM_KERNEL"])
	must.EqOp(t, "/opt/oakum/initrd", task.Env["OAKUM_INITRD"])
	must.EqOp(t, strings.TrimPrefix(checksum, "sha256:"), task.Env["OAKUM_INITRD_SHA256"])
	must.EqOp(t, "kvm", task.Env["OAKUM_ACCELERATOR"])
	must.EqOp(t, "raw", task.Env["OAKUM_FORMAT"])
	must.EqOp(t, 768, *task.Resources.MemoryMB)
	must.EqOp(t, twinPriority, *job.Priority)
	must.EqOp(t, nomadapi.JobTypeBatch, *job.Type)
	must.EqOp(t, 0, *job.TaskGroups[0].RestartPolicy.Attempts)
}

func TestBakeJob_RunsInAPoolOfItsOwn(t *testing.T) {
	spec := bakeSpec()
	spec.Pool = "sandbox"
	job, err := bakeJob(production(), spec, testAppliance(), machineOf(production()), []string{"/images"})
	must.NoError(t, err)
	must.EqOp(t, "sandbox", *job.NodePool)
	must.Eq(t, []string{"*"}, job.Datacenters)
	must.EqOp(t, "n1", job.Constraints[0].RTarget)
}

func TestBakeJob_RefusesBadInput(t *testing.T) {
	payload := func(source, sum string) func(*twin.BakeSpec) {
		return func(s *twin.BakeSpec) {
			s.Steps[1].Payloads[0] = api.Payload{Name: "deb", Source: source, Checksum: sum}
		}
	}
	for name, c := range map[string]struct {
		change func(*twin.BakeSpec)
		want   string
	}{
		"payload from the host":      {payload("file:///etc/shadow", checksum), "does not fetch"},
		"payload from a repository":  {payload("git::https://x.example/a", checksum), "does not fetch"},
		"payload of the environment": {payload("https://x.example/${NOMAD_META_x}", checksum), "does not fetch"},
		"payload above its folder":   {payload("https://x.example/..", checksum), "is no name of a file"},
		"payload without a checksum": {payload("https://x.example/a.deb", ""), "checksum"},
		"option for a package":       {func(s *twin.BakeSpec) { s.Packages = []string{"--root=/"} }, "want the name of a package"},
		"script that is too long":    {func(s *twin.BakeSpec) { s.Steps[0].Script = strings.Repeat("#", 5<<20) }, "make a payload of what is large"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := bakeSpec()
			c.change(&spec)
			_, err := bakeJob(production(), spec, testAppliance(), machineOf(production()), []string{"/images"})
			must.ErrorContains(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
}

func TestBakeImage_NeedsAnAppliance(t *testing.T) {
	_, err := (&Sandbox{}).BakeImage(t.Context(), bakeSpec())
	must.ErrorContains(t, err, "this server has none (simulator.appliance)")
	must.True(t, api.IsCode(err, api.CodeInvalid))

	// Nothing is recorded as made before a node is chosen.
	_, err = (&Sandbox{}).BakeNode(t.Context(), bakeSpec().Target, "")
	must.ErrorContains(t, err, "this server has none (simulator.appliance)")
}

func TestBakeEnd_IsAnImage(t *testing.T) {
	end := bakeEnd{spec: bakeSpec(), code: 0, report: "oakum 1\nbefore openssl 3.0.17\nscript 0\nstatus 0\nscript 1\nstatus 0\nverify 1 0\noutput My4wLjIyCg==\nstatus 0\n" +
		"after openssl 3.0.22\nkernel 6.1.0-9\nproved\nend\nimage " + strings.TrimPrefix(checksum, "sha256:") + "\n"}
	image, err := end.image()
	must.NoError(t, err)
	must.Eq(t, twin.Image{
		Path: "/images/store+1.qcow2", Digest: strings.TrimPrefix(checksum, "sha256:"), Node: "n1",
		Before: map[string]string{"openssl": "3.0.17"}, After: map[string]string{"openssl": "3.0.22"}, Kernel: "6.1.0-9",
		Proofs: []api.Proof{{Command: "openssl version", Where: "image", OK: true, Output: "3.0.22"}},
	}, image)
}

// TestBakeEnd_BlamesThePatchForItsOwnFaultsOnly: code conflict is the patch's fault.
func TestBakeEnd_BlamesThePatchForItsOwnFaultsOnly(t *testing.T) {
	download := func(message string) []*nomadapi.TaskEvent {
		return []*nomadapi.TaskEvent{{Type: nomadapi.TaskArtifactDownloadFailed, DisplayMessage: message}}
	}
	both := "oakum 1\nscript 0\nkilled 0\nstatus 0\nscript 1\n"
	other := strings.Repeat("1b", 32)
	for name, c := range map[string]struct {
		end  bakeEnd
		code api.ErrorCode
		want string
	}{
		"script fails": {
			bakeEnd{code: codeProvedNot, report: both + "killed 0\nstatus 3\nend\n", console: "\x1b[1mE: no such package\x1b[0m\r\n[    4.3] reboot: Power down\n"},
			api.CodeConflict, `script 2 of 2 ended with status 3; the console's last lines: E: no such package`,
		},
		"script never ends":       {bakeEnd{code: codeTimeout, report: both}, api.CodeConflict, "script 2 of 2 has not ended after 10m0s"},
		"script ends the machine": {bakeEnd{code: codeProvedNot, report: both}, api.CodeConflict, "script 2 of 2 ended the machine"},
		"fix is not there":        {bakeEnd{code: codeProvedNot, report: both + "status 0\nverify 1 0\nstatus 1\nend\n"}, api.CodeConflict, `the command "openssl version" ended with status 1`},
		"fix is another":          {bakeEnd{code: codeProvedNot, report: both + "status 0\nverify 1 0\nstatus 0\nmissing\nend\n"}, api.CodeConflict, `the command "openssl version" did not print "3.0.22"`},
		"proof never ends":        {bakeEnd{code: codeTimeout, report: both + "status 0\nverify 1 0\n"}, api.CodeConflict, `the command "openssl version" has not ended after 10m0s`},
		"payload is another": {
			bakeEnd{code: codeUnknown, events: download("failed to download artifact \"https://mirror.example/pool/openssl_3.0.22_amd64.deb?x=1\": Checksums did not match for /x.\nExpected: " +
				strings.TrimPrefix(checksum, "sha256:") + "\nGot: " + other + "\n*sha256.digest")},
			api.CodeConflict, `payload "deb": https://mirror.example/pool/openssl_3.0.22_amd64.deb?x=1 has the checksum sha256:` + other + ", not " + checksum,
		},

		"payload is away":            {bakeEnd{code: codeUnknown, events: download("failed to download artifact: 503")}, api.CodeUnavailable, "503"},
		"kernel is another":          {bakeEnd{code: codeUnknown, events: download("failed to download artifact \"https://files.example/vmlinuz\": Checksums did not match for /x.\nExpected: 0b\nGot: " + other)}, api.CodeUnavailable, "files.example"},
		"memory lacks":               {bakeEnd{code: codeProvedNot, report: both + "killed 1\nstatus 137\nend\n"}, api.CodeUnavailable, "for lack of memory (simulator.appliance.memory)"},
		"kernel gives up":            {bakeEnd{code: codeProvedNot, report: both, console: "Kernel panic - not syncing: Out of memory"}, api.CodeUnavailable, "gave up while script 2 of 2 ran"},
		"disk can't be mounted":      {bakeEnd{code: codeProvedNot, report: "oakum 1\nfault /boot of the image's fstab can't be mounted\nend\n"}, api.CodeUnavailable, "the appliance: /boot of the image's fstab"},
		"disk can't be unmounted":    {bakeEnd{code: codeProvedNot, report: both + "status 0\nproved\nfault / can't be unmounted\nend\n"}, api.CodeUnavailable, "can't be unmounted"},
		"boot never ends":            {bakeEnd{code: codeTimeout, report: "oakum 1\n", why: "the machine was not done after 600 s"}, api.CodeUnavailable, "the machine was not done after 600 s"},
		"somebody else writes":       {bakeEnd{code: codeProvedNot, report: both + "all is well\n"}, api.CodeUnavailable, "read report of the appliance"},
		"node lacks room":            {bakeEnd{code: 82, why: "the disk of /x has 1 MiB free"}, api.CodeUnavailable, "1 MiB free"},
		"image is another machine's": {bakeEnd{code: codeRefused, why: "its backing file is outside"}, api.CodeInvalid, "is outside"},
		"node is lost":               {bakeEnd{code: codeUnknown, why: "allocation is lost"}, api.CodeUnavailable, "allocation is lost"},
		"image without a digest":     {bakeEnd{code: 0, report: both + "status 0\nproved\nend\n"}, api.CodeUnavailable, "lacks the image"},
		"a proof is left out": {
			bakeEnd{code: 0, report: both + "status 0\nproved\nend\nimage " + other + "\n"}, api.CodeUnavailable, `lacks the command "openssl version"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.end.spec, c.end.within = bakeSpec(), 10*time.Minute
			_, err := c.end.image()
			must.ErrorContains(t, err, c.want)
			must.EqOp(t, c.code, api.AsError(err).Code)
		})
	}
}

func TestTail_IsOneLineOfTheEnd(t *testing.T) {
	must.EqOp(t, "b | c", tail("\x1b[31mb\x1b[0m\r\n\x07c\n\n"))
	must.EqOp(t, "", tail("\x00\r\n"))
	must.EqOp(t, "2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11", tail("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n"))
	must.LessEq(t, 1024, len(tail(strings.Repeat("ä", 4000))))
	must.StrNotContains(t, tail("caf\xe9"), "\xe9")
}

// TestBakeJob_FetchesTheImageOfAPatch into its own folder, from where alone it may come
// beside the roots.
func TestBakeJob_FetchesTheImageOfAPatch(t *testing.T) {
	like := production()
	like.TaskGroups[0].EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(3000)}
	spec := bakeSpec()
	spec.Image, spec.Source, spec.Digest, spec.Result = "local/store-2.qcow2", "https://images.example/store-2.qcow2", strings.TrimPrefix(checksum, "sha256:"), ""
	job, err := bakeJob(like, spec, testAppliance(), machineOf(like), []string{"/images"})
	must.NoError(t, err)
	task := job.TaskGroups[0].Tasks[0]
	must.EqOp(t, "local/store-2.qcow2", task.Env["OAKUM_IMAGE"])
	must.EqOp(t, "qcow2", task.Env["OAKUM_FORMAT"])
	must.EqOp(t, "/images\n${NOMAD_TASK_DIR}", task.Env["OAKUM_ROOTS"])
	must.EqOp(t, 3000+bakeDisk, *job.TaskGroups[0].EphemeralDisk.SizeMB)
	at := slices.IndexFunc(task.Artifacts, func(a *nomadapi.TaskArtifact) bool { return *a.GetterSource == spec.Source })
	must.GreaterEq(t, 0, at)
	must.EqOp(t, "local/store-2.qcow2", *task.Artifacts[at].RelativeDest)
	must.Eq(t, map[string]string{"checksum": checksum, "archive": "false"}, task.Artifacts[at].GetterOptions)
}
