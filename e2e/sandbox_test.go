//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	twins "github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/twin"
)

// digestCache is where a node remembers the digests of images.
const digestCache = "/var/cache/oakum-twin"

// TestSandbox tries to get out of a twin, by the network and by files of the host,
// and boots twins of machines whose images come from elsewhere than a folder.
func TestSandbox(t *testing.T) {
	s := newSandbox(t)
	t.Run("a guest reaches nothing", s.guestReachesNothing)
	t.Run("files of the host", s.filesOfTheHost)
	t.Run("arguments of a patch", s.argumentsOfAPatch)
	t.Run("a node lacks the image", s.lackingImage)
	t.Run("an image that a machine writes to", s.heldImage)
	t.Run("an image from an artifact", s.artifactImage)
	t.Run("flash memory", s.flashMemory)
	t.Run("a digest is computed once", s.digestOnce)
	s.noTwins()
}

// within returns the sandbox with images from one folder.
func (s *sandbox) within(roots ...string) *twins.Sandbox {
	return twins.New(s.client, twins.Options{ImageRoots: roots})
}

// twin starts a twin, and removes it when the test ends.
func (s *sandbox) twin(t *testing.T, machines *twins.Sandbox, spec twin.Spec) twin.Machine {
	t.Helper()
	m, err := machines.StartTwin(t.Context(), spec)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, machines.StopTwin(context.WithoutCancel(t.Context()), m.Namespace, m.Job)) })
	return m
}

// spec asks for a twin of a target.
func spec(name string, target api.TargetRef, apply ...api.Apply) twin.Spec {
	return twin.Spec{Job: twin.JobID(name, "ff", twin.Treatment), Target: target, Task: "vm", Apply: apply}
}

// ended waits until a twin has ended without a machine, and returns why.
func (s *sandbox) ended(t *testing.T, machines *twins.Sandbox, m twin.Machine) error {
	t.Helper()
	var why error
	eventually(t, "the twin is refused", time.Minute, func() bool {
		state, err := machines.InspectTwin(t.Context(), m)
		must.NotEq(t, twin.Running, state.Phase)
		why = err
		return err != nil
	})
	return why
}

// healthy waits until a twin answers its health check, and returns its state.
func (s *sandbox) healthy(t *testing.T, machines *twins.Sandbox, m twin.Machine) twin.State {
	t.Helper()
	var state twin.State
	eventually(t, "the twin is healthy", 2*time.Minute, func() bool {
		var err error
		state, err = machines.InspectTwin(t.Context(), m)
		must.NoError(t, err)
		must.NotEq(t, twin.Dead, state.Phase, must.Sprint(state.Why))
		return state.Phase == twin.Running && answers(t, "http://"+state.Address+"/health")
	})
	return state
}

func answers(t *testing.T, address string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	must.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// register runs a job of one machine until the test ends, and returns its target.
func (s *sandbox) register(t *testing.T, job *nomadapi.Job) api.TargetRef {
	t.Helper()
	_, _, err := s.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, s.vendor, *job.ID)
	return api.TargetRef{Namespace: "default", Job: *job.ID, Group: "store"}
}

// console is what the machine of a job has written.
func (s *sandbox) console(t *testing.T, job string) string {
	t.Helper()
	allocs, _, err := s.vendor.Jobs().Allocations(job, false, nil)
	must.NoError(t, err)
	if len(allocs) == 0 {
		return ""
	}
	q := &nomadapi.QueryOptions{Params: map[string]string{"task": "vm", "type": "stdout", "plain": "true"}}
	file, err := s.vendor.Raw().Response("/v1/client/fs/logs/"+allocs[0].ID, q)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(file, 1<<20))
	must.NoError(t, err)
	must.NoError(t, file.Close())
	return string(text)
}

// guestReachesNothing has a guest try to reach production, the host, the metadata
// address and the other twin: first as production runs it, so that the test sees
// what is open there, and then as a twin.
func (s *sandbox) guestReachesNothing(t *testing.T) {
	env := sharedStack(t)
	nomadURL, err := url.Parse(env.NomadAddr)
	must.NoError(t, err)
	other := s.twin(t, s.machines, spec("other/1", s.target.TargetRef))
	_, otherPort, found := strings.Cut(s.healthy(t, s.machines, other).Address, ":")
	must.True(t, found)
	instances, err := s.client.Instances(t.Context(), s.target.TargetRef)
	must.NoError(t, err)
	alloc, _, err := s.vendor.Allocations().Info(instances[0].ID, nil)
	must.NoError(t, err)
	// 10.0.2.2 is the host's loopback in QEMU's user network.
	image := s.probe(t, map[string]string{
		"production": fmt.Sprint("10.0.2.2 ", alloc.AllocatedResources.Shared.Ports[0].Value),
		"host":       "10.0.2.2 " + nomadURL.Port(),
		"other":      "10.0.2.2 " + otherPort,
		"metadata":   "169.254.169.254 80",
	})
	target := s.register(t, machineJob("prober", image))
	probed := func(job string) map[string]string {
		var text string
		eventually(t, "the guest of "+job+" has tried", 3*time.Minute, func() bool {
			text = s.console(t, job)
			return strings.Contains(text, "PROBE done")
		})
		out := map[string]string{}
		for line := range strings.Lines(text) {
			if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "PROBE" {
				out[fields[1]] = strings.TrimSuffix(fields[2], ":")
			}
		}
		return out
	}
	open := probed("prober")
	for _, name := range []string{"production", "host", "other"} {
		must.Eq(t, "open", open[name], must.Sprintf("%s, as production runs it: %v", name, open))
	}
	machines := s.within(filepath.Dir(image))
	m := s.twin(t, machines, spec("probe/1", target))
	must.Eq(t, map[string]string{"production": "closed", "host": "closed", "other": "closed", "metadata": "closed", "name": "closed"}, probed(m.Job))
	state := s.healthy(t, machines, m) // and the way in is open
	must.Eq(t, "2", seccomp(t, state.Alloc), must.Sprint("QEMU's system call filter"))
}

// probe is an image whose guest tries to reach some addresses before it serves.
func (s *sandbox) probe(t *testing.T, targets map[string]string) string {
	t.Helper()
	folder := s.folder(t)
	init, err := os.ReadFile("../examples/images/guest/init")
	must.NoError(t, err)
	script := "ip route add default via 10.0.2.2\n"
	for name, address := range targets {
		script += fmt.Sprintf(`said=$(printf 'GET /health HTTP/1.0\r\n\r\n' | busybox nc -w 5 %s 2>&1)
case $said in HTTP*) echo "PROBE %s open" ;; *) echo "PROBE %s closed: $said" ;; esac
`, address, name, name)
	}
	script += `said=$(busybox nslookup oakum.example 10.0.2.3 2>&1)
case $said in *Server:*) echo "PROBE name open" ;; *) echo "PROBE name closed: $said" ;; esac
echo PROBE done
`
	patched := strings.Replace(string(init), "set -a\n", script+"set -a\n", 1)
	must.StrContains(t, patched, "PROBE done")
	must.NoError(t, os.WriteFile(filepath.Join(folder, "init"), []byte(patched), 0o755))
	raw, image := filepath.Join(folder, "probe.raw"), filepath.Join(folder, "probe.qcow2")
	command(t, "qemu-img", "convert", "-O", "raw", filepath.Join(s.images, "store-1.0.qcow2"), raw)
	for _, request := range []string{"rm /sbin/init", "write " + filepath.Join(folder, "init") + " /sbin/init", "sif /sbin/init mode 0100755"} {
		command(t, "debugfs", "-w", "-R", request, raw)
	}
	command(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
	return image
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	must.NoError(t, err, must.Sprintf("%s %v: %s", name, args, out))
}

// seccomp is the mode of the system call filter of an allocation's QEMU, as the
// kernel tells it.
func seccomp(t *testing.T, alloc string) string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must.NoError(t, err)
	for _, path := range processes {
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), alloc) || !strings.HasPrefix(filepath.Base(strings.Split(string(line), "\x00")[0]), "qemu-system-") {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		must.NoError(t, err)
		for line := range strings.Lines(string(status)) {
			if mode, ok := strings.CutPrefix(line, "Seccomp:"); ok {
				return strings.TrimSpace(mode)
			}
		}
	}
	t.Fatalf("no QEMU of allocation %s runs", alloc)
	return ""
}

// filesOfTheHost names files of the host as images, in every way that an image can.
func (s *sandbox) filesOfTheHost(t *testing.T) {
	images, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret.raw")
	must.NoError(t, os.WriteFile(secret, make([]byte, 1<<20), 0o600))
	in := func(name string) string { return filepath.Join(images, name) }
	over := func(name, below, format string) string {
		command(t, "qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", below, "-F", format, in(name), "8M")
		return in(name)
	}
	middle := over("middle.qcow2", secret, "raw")
	must.NoError(t, os.Symlink(secret, in("link.raw")))
	must.NoError(t, syscall.Mkfifo(in("pipe.raw"), 0o600))
	command(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(outside, "data.raw"), in("data.qcow2"), "8M")
	cases := map[string]struct{ image, want string }{
		"by name":            {"/etc/shadow.qcow2", "outside of the folders"},
		"by format and name": {secret, "outside of the folders that images may come from"},
		"by dots":            {images + "/../" + filepath.Base(outside) + "/secret.raw", "outside of the folders"},
		"by link":            {in("link.raw"), "outside of the folders"},
		"by backing file":    {middle, "outside of the folders"},
		"by two of them":     {over("deep.qcow2", middle, "qcow2"), "outside of the folders"},
		"by JSON":            {over("json.qcow2", `json:{"driver":"file","filename":"`+secret+`"}`, "raw"), "which is no plain path"},
		"by protocol":        {over("nbd.qcow2", "nbd://127.0.0.1:10809/x", "raw"), "which is no path"},
		"by data file":       {in("data.qcow2"), "keeps its data in another file"},
		"by itself":          {over("self.qcow2", "self.qcow2", "qcow2"), "laid over more than 16 images"},
		"by pipe":            {in("pipe.raw"), "is no regular file"},
		"by device":          {"/dev/loop0.raw", "outside of the folders"},
	}
	machines := s.within(images)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s.twin(t, machines, spec("file/1", s.target.TargetRef, api.Apply{Kind: api.ApplyImage, Task: "vm", Image: c.image}))
			must.ErrorContains(t, s.ended(t, machines, m), c.want)
		})
	}
	t.Run("without roots", func(t *testing.T) {
		machines := s.within()
		m := s.twin(t, machines, spec("file/2", s.target.TargetRef, api.Apply{Kind: api.ApplyImage, Task: "vm", Image: secret}))
		err := s.ended(t, machines, m)
		must.ErrorContains(t, err, "outside of the folders that images may come from: "+s.images)
		must.True(t, api.IsCode(err, api.CodeInvalid))
	})
}

// argumentsOfAPatch: a patch may change the arguments of a machine, and names a file
// of the host in them. The driver would take each of these.
func (s *sandbox) argumentsOfAPatch(t *testing.T) {
	net := []string{"-netdev", "user,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080", "-device", "virtio-net-pci,netdev=n0,romfile="}
	for name, words := range map[string][]string{
		"kernel":   {"-kernel", "/etc/passwd"},
		"disk":     {"-drive", "file=/etc/passwd,format=raw,if=virtio,readonly=on"},
		"overlay":  {"-snapshot", "-drive", "file=/etc/passwd,format=raw,if=virtio"},
		"firmware": {"-bios", "/etc/passwd"},
		"flash":    {"-drive", "file=/etc/passwd,if=pflash,format=raw"},
	} {
		t.Run(name, func(t *testing.T) {
			patch := api.Apply{Kind: api.ApplyJob, Task: "vm", Config: map[string]any{"args": append(slices.Clone(words), net...)}}
			m := s.twin(t, s.machines, spec("argument/1", s.target.TargetRef, patch))
			must.ErrorContains(t, s.ended(t, s.machines, m), "/etc/passwd leads to /etc/passwd, which is outside of the folders")
		})
	}
	patch := api.Apply{Kind: api.ApplyJob, Task: "vm", Config: map[string]any{"args": append([]string{"-fw_cfg", "name=opt/a,file=/etc/passwd"}, net...)}}
	_, err := s.machines.StartTwin(t.Context(), spec("argument/2", s.target.TargetRef, patch))
	must.ErrorContains(t, err, `task "vm", args[0]: -fw_cfg: property "file" is not allowed in a twin`)
}

// lackingImage: it is the node's fault, and it says which node lacks which image.
func (s *sandbox) lackingImage(t *testing.T) {
	image := filepath.Join(s.images, "store-0.1.qcow2")
	m := s.twin(t, s.machines, spec("absent/1", s.target.TargetRef, api.Apply{Kind: api.ApplyImage, Task: "vm", Image: image}))
	err := s.ended(t, s.machines, m)
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
	nodes, _, listErr := s.vendor.Nodes().List(nil)
	must.NoError(t, listErr)
	must.True(t, slices.ContainsFunc(nodes, func(n *nomadapi.NodeListStub) bool {
		return strings.HasPrefix(err.Error(), fmt.Sprintf("node %s lacks image %s: ", n.Name, image))
	}), must.Sprint(err))
}

// folder is a folder that Nomad's QEMU plugin takes images from.
func (s *sandbox) folder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp(sharedStack(t).Dir, "images-") //nolint:usetesting // Nomad takes images from below this folder only
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, os.RemoveAll(folder)) })
	return folder
}

// copied is a copy of the store's image in a folder of its own.
func (s *sandbox) copied(t *testing.T) string {
	t.Helper()
	image := filepath.Join(s.folder(t), "store.qcow2")
	text, err := os.ReadFile(filepath.Join(s.images, "store-1.0.qcow2"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(image, text, 0o644))
	return image
}

// heldImage: the file system of the test's folder can't clone files, or can.
func (s *sandbox) heldImage(t *testing.T) {
	image := s.copied(t)
	job := machineJob("holder", image)
	args := job.TaskGroups[0].Tasks[0].Config["args"].([]string)
	must.Eq(t, "-snapshot", args[0])
	job.TaskGroups[0].Tasks[0].Config["args"] = args[1:] // it writes to its image
	target := s.register(t, job)
	eventually(t, "the machine runs", time.Minute, func() bool {
		return exec.CommandContext(t.Context(), "qemu-img", "info", "-f", "qcow2", image).Run() != nil // QEMU holds its lock
	})
	machines := s.within(filepath.Dir(image))
	m := s.twin(t, machines, spec("held/1", target))
	if exec.CommandContext(t.Context(), "cp", "--reflink=always", image, image+".clone").Run() == nil {
		must.NotEq(t, "", s.healthy(t, machines, m).Digest)
		return
	}
	err := s.ended(t, machines, m)
	must.ErrorContains(t, err, "a machine that runs writes to "+image)
	must.True(t, api.IsCode(err, api.CodeUnavailable))
}

// artifactImage: Nomad fetches the image into the task's folder.
func (s *sandbox) artifactImage(t *testing.T) {
	image := s.copied(t)
	sum := sha(t, image)
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(image))))
	t.Cleanup(server.Close)
	job := machineJob("fetched", "local/store.qcow2")
	job.TaskGroups[0].Tasks[0].Artifacts = []*nomadapi.TaskArtifact{{
		GetterSource: new(server.URL + "/store.qcow2"), RelativeDest: new("local/"), GetterOptions: map[string]string{"checksum": "sha256:" + sum},
	}}
	job.TaskGroups[0].EphemeralDisk.SizeMB = new(200)
	target := s.register(t, job)
	machines := s.within()
	must.Eq(t, sum, s.healthy(t, machines, s.twin(t, machines, spec("fetched/1", target))).Digest)
}

// flashMemory boots a machine whose firmware is in flash memory, as UEFI machines
// do, with variables beside it that the machine writes to. The store's image has no
// boot loader for UEFI, so the firmware is a BIOS.
func (s *sandbox) flashMemory(t *testing.T) {
	image := s.copied(t)
	vars := filepath.Join(filepath.Dir(image), "vars.fd")
	must.NoError(t, os.WriteFile(vars, make([]byte, 128<<10), 0o600))
	job := machineJob("flash", image)
	vm := job.TaskGroups[0].Tasks[0]
	vm.Config["args"] = append([]string{
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/seabios/bios-256k.bin",
		"-drive", "if=pflash,unit=1,format=raw,file=" + vars,
	}, vm.Config["args"].([]string)...)
	target := s.register(t, job)
	machines := s.within(filepath.Dir(image))
	state := s.healthy(t, machines, s.twin(t, machines, spec("flash/1", target)))
	must.Eq(t, sha(t, image), state.Digest)
}

// digestOnce: a node believes what it has computed, as long as the image does not
// change.
func (s *sandbox) digestOnce(t *testing.T) {
	image := s.copied(t)
	var stat syscall.Stat_t
	must.NoError(t, syscall.Stat(image, &stat))
	note := filepath.Join(digestCache, fmt.Sprintf("%d-%d", stat.Dev, stat.Ino))
	t.Cleanup(func() { must.NoError(t, os.Remove(note)) })
	machines := s.within(filepath.Dir(image))
	patch := api.Apply{Kind: api.ApplyImage, Task: "vm", Image: image}
	digest := func(name string) string {
		m := s.twin(t, machines, spec(name, s.target.TargetRef, patch))
		var state twin.State
		eventually(t, "the image has a digest", time.Minute, func() bool {
			var err error
			state, err = machines.InspectTwin(t.Context(), m)
			must.NoError(t, err)
			return state.Digest != ""
		})
		return state.Digest
	}
	sum := sha(t, image)
	must.Eq(t, sum, digest("digest/1"))
	text, err := os.ReadFile(note)
	must.NoError(t, err)
	must.StrHasPrefix(t, sum, string(text))
	known := strings.Repeat("0", 64)
	must.NoError(t, os.WriteFile(note, []byte(strings.Replace(string(text), sum, known, 1)), 0o600))
	must.Eq(t, known, digest("digest/2"))
	now := time.Now()
	must.NoError(t, os.Chtimes(image, now, now))
	must.Eq(t, sum, digest("digest/3"))
}

// sha is the SHA-256 of a file in hex.
func sha(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
