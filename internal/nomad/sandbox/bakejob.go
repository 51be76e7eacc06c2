package sandbox

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

// bakeScript is what runs on the client.
//
//go:embed bake.sh
var bakeScript string

// imageScript has the checks of an image. Both scripts that open images want it
// before them.
//
//go:embed image.sh
var imageScript string

const (
	// bakeReport is the path of the appliance's report in Nomad's file API.
	bakeReport = "alloc/data/oakum-bake.report"
	// emulatorMemory is what QEMU takes beside the memory of the machine: 110 MiB were
	// measured at the end of a boot, and its translation buffer may grow to 64 MiB.
	emulatorMemory = 256
	// bakeDisk is what the copy of an image may take of a node's disk in Nomad's
	// accounts, MB. The script looks at what is free.
	bakeDisk = 1024
	// patchMax is how many bytes the scripts and commands of a patch may have. They are
	// in the job, which Nomad's servers replicate.
	patchMax = 4 << 20
	// delimiter can't occur in base64, nor in bakeScript, so that Nomad's template
	// engine takes both as they are.
	delimiter = "[[[oakum"
)

// bakeJob is the job that runs a patch in the appliance. The image must come from one of
// the roots, which are folders of the node.
func bakeJob(like *nomadapi.Job, spec twin.BakeSpec, a appliance.Appliance, vm *nomadapi.Task, roots []string) (*nomadapi.Job, error) {
	patch, err := patchArchive(spec)
	if err != nil {
		return nil, err
	}
	text := base64.StdEncoding.EncodeToString(patch) + "\n"
	sum := sha256.Sum256([]byte(text))
	accelerator, _ := vm.Config["accelerator"].(string)
	vars := variablesOf(like, like.LookupTaskGroup(spec.Target.Group), vm)
	task := nomadapi.NewTask(bakeTask, "raw_exec").
		SetConfig("command", "/bin/sh").
		SetConfig("args", []string{"${NOMAD_TASK_DIR}/bake.sh"})
	task.Templates = []*nomadapi.Template{
		template("local/bake.sh", imageScript+bakeScript),
		template("local/patch.tar.b64", text),
	}
	task.Env = map[string]string{
		"OAKUM_IMAGE": spec.Image, "OAKUM_FORMAT": qemu.ImageFormat(spec.Image, vars.declaredFormat()), "OAKUM_RESULT": spec.Result, "OAKUM_HASH": "", "OAKUM_READER": "", "OAKUM_ROOTS": strings.Join(roots, "\n"),
		"OAKUM_MEMORY": strconv.Itoa(a.Memory), "OAKUM_TIMEOUT": strconv.Itoa(int(a.Within / time.Second)), "OAKUM_ACCELERATOR": cmp.Or(accelerator, "tcg"),
		"OAKUM_PATCH": "${NOMAD_TASK_DIR}/patch", "OAKUM_PATCH_SHA256": hex.EncodeToString(sum[:]),
		"OAKUM_WORK": "${NOMAD_TASK_DIR}/work", "OAKUM_REPORT": "${NOMAD_ALLOC_DIR}/data/oakum-bake.report",
	}
	if spec.Hash {
		task.Env["OAKUM_HASH"] = "yes"
	}
	disk := bakeDisk
	if spec.Source != "" {
		task.Artifacts = append(task.Artifacts, artifact(spec.Source, "sha256:"+spec.Digest, spec.Image))
		task.Env["OAKUM_ROOTS"] += "\n${NOMAD_TASK_DIR}"
		if d := like.LookupTaskGroup(spec.Target.Group).EphemeralDisk; d != nil && d.SizeMB != nil {
			disk += *d.SizeMB // which has room for the image
		}
	}
	addFile(task, "OAKUM_KERNEL", appliance.KernelFile, a.Kernel)
	addFile(task, "OAKUM_INITRD", appliance.InitrdFile, a.Initrd)
	if spec.RPMFormat != "" && a.Reader.Source != "" {
		addFile(task, "OAKUM_READER", "oakum", a.Reader)
	}
	for i, step := range spec.Steps {
		for _, p := range step.Payloads {
			name, err := payloadFile(p)
			if err != nil {
				return nil, err
			}
			task.Artifacts = append(task.Artifacts, artifact(p.Source, p.Checksum, fmt.Sprintf("local/patch/%d/payload/%s", i, name)))
		}
	}
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(a.Memory + emulatorMemory)}
	task.LogConfig = &nomadapi.LogConfig{MaxFiles: new(2), MaxFileSizeMB: new(1)}
	job := onceJob(like, spec.Job, spec.Node, spec.Pool, task)
	job.TaskGroups[0].EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(disk)}
	return job, nil
}

func template(at, text string) *nomadapi.Template {
	return &nomadapi.Template{
		DestPath: new(at), EmbeddedTmpl: new(text), ChangeMode: new("noop"),
		LeftDelim: new(delimiter), RightDelim: new("oakum]]]"),
	}
}

// artifact has Nomad fetch a file, as it is, and compare its checksum.
func artifact(source, checksum, at string) *nomadapi.TaskArtifact {
	return &nomadapi.TaskArtifact{
		GetterSource: new(source), GetterMode: new("file"), RelativeDest: new(at),
		GetterOptions: map[string]string{"checksum": checksum, "archive": "false"},
	}
}

// addFile gives the task a file of the appliance, and its checksum.
func addFile(task *nomadapi.Task, variable, name string, f appliance.File) {
	task.Env[variable], task.Env[variable+"_SHA256"] = f.Source, f.SHA256()
	if f.Remote() {
		task.Env[variable] = "${NOMAD_TASK_DIR}/appliance/" + name
		task.Artifacts = append(task.Artifacts, artifact(f.Source, f.Checksum, "local/appliance/"+name))
	}
}

// payloadFile is the name that a payload has in the machine: the last part of its
// source's path. It refuses sources that Nomad would fetch otherwise than over HTTP.
func payloadFile(p api.Payload) (string, error) {
	scheme, rest, _ := strings.Cut(p.Source, "://")
	u, err := url.Parse("https://" + rest)
	known := slices.Contains([]string{"http", "https", "s3::https", "gcs::https"}, scheme)
	if err != nil || !known || strings.ContainsAny(p.Source, "$\n") {
		return "", api.Errorf(api.CodeInvalid, "payload %q: Nomad does not fetch %q over HTTP", p.Name, p.Source)
	}
	name := path.Base(u.Path)
	if strings.Trim(name, "./") == "" || !regexp.MustCompile(`^[A-Za-z0-9._+~=,:@%-]+$`).MatchString(name) {
		return "", api.Errorf(api.CodeInvalid, "payload %q: %q is no name of a file", p.Name, name)
	}
	if err := appliance.CheckChecksum(p.Checksum); err != nil {
		return "", api.Errorf(api.CodeInvalid, "payload %q: %s", p.Name, api.AsError(err).Message)
	}
	return name, nil
}

// patchArchive is a tar of what the appliance's disk "patch" holds, payloads aside.
func patchArchive(spec twin.BakeSpec) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	var failed error
	add := func(name, text string) {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(name, "/") {
			header.Typeflag, header.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(header); err != nil && failed == nil {
			failed = err
		}
		if _, err := w.Write([]byte(text)); err != nil && failed == nil {
			failed = err
		}
	}
	for i, step := range spec.Steps {
		add(fmt.Sprintf("%d/", i), "")
		add(fmt.Sprintf("%d/payload/", i), "")
		add(fmt.Sprintf("%d/verify/", i), "")
		add(fmt.Sprintf("%d/script", i), step.Script)
		for j, v := range step.Verify {
			add(fmt.Sprintf("%d/verify/%d", i, j), v.Command)
			if v.Expect != "" {
				add(fmt.Sprintf("%d/verify/%d.expect", i, j), v.Expect)
			}
		}
	}
	var packages strings.Builder
	for _, name := range spec.Packages {
		if name == "" || strings.ContainsAny(name, " \t\n") || name[0] == '-' {
			return nil, api.Errorf(api.CodeInvalid, "package %q: want the name of a package", name)
		}
		packages.WriteString(name + "\n")
	}
	add("packages", packages.String())
	add("databases", spec.RPMFormat)
	if err := w.Close(); err != nil && failed == nil {
		failed = err
	}
	if failed != nil {
		return nil, fmt.Errorf("pack patch: %w", failed)
	}
	if out.Len() > patchMax {
		return nil, api.Errorf(api.CodeInvalid, "the patch's scripts have %d bytes; at most %d travel with a job: make a payload of what is large", out.Len(), patchMax)
	}
	return out.Bytes(), nil
}
