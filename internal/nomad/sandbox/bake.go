package sandbox

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// bakeTask is the task of a job that works on images.
	bakeTask = "oakum-bake"
	// scriptFailed is the exit code of bakeScript when the patch's own script
	// fails. It separates the script's failure from a failure of the sandbox. Shells
	// and kernels use other codes.
	scriptFailed = 90
	// outputMax is how many bytes of a task's output are read.
	outputMax = 4096
)

// bakeScript runs a script in the root file system of a copy of an image, and
// prints the SHA-256 of the result. Arguments: image, folder to work in, path of the
// result. The variable SCRIPT holds the script in base64.
//
// The copy is an overlay that a storage daemon exports as a raw file, so the
// kernel can mount it without a network block device. The mounts are in a
// namespace of their own and end with it. The largest partition is the root; a
// disk without partitions is one file system. (Nomad interpolates a brace after a
// dollar sign, so the script has none.)
const bakeScript = `set -eu
image=$1 work=$2 out=$3
mkdir -p "$work/root"
printf %s "$SCRIPT" | base64 -d >"$work/script"
format=$(qemu-img info -U "$image" | sed -n 's/^file format: //p')
qemu-img create -q -f qcow2 -b "$image" -F "$format" "$work/disk.qcow2"
: >"$work/disk.raw"
qemu-storage-daemon --blockdev driver=file,node-name=f0,filename="$work/disk.qcow2" \
  --blockdev driver=qcow2,node-name=q0,file=f0 \
  --export type=fuse,id=e0,node-name=q0,mountpoint="$work/disk.raw",writable=on --pidfile "$work/pid" --daemonize
daemon=$(cat "$work/pid")
trap 'kill "$daemon" 2>/dev/null || true; rm -f "$out.part"' EXIT
trap 'exit 1' INT TERM
sector=$(partx -bgno SECTORS,START "$work/disk.raw" 2>/dev/null | sort -rn | head -1 | awk '{print $2}') || true
[ -n "$sector" ] || sector=0
status=0
unshare --mount --net --pid --fork sh -euc '
  mount -o loop,offset="$4" "$1" "$2"
  cp "$3" "$2/.oakum-patch"
  [ ! -d "$2/proc" ] || mount -t proc proc "$2/proc"
  status=0
  chroot "$2" /bin/sh /.oakum-patch >&2 || status=$?
  [ ! -d "$2/proc" ] || umount "$2/proc"
  rm -f "$2/.oakum-patch"
  umount "$2"
  [ "$status" = 0 ] || { echo "the script ended with status $status" >&2; exit 90; }
' bake "$work/disk.raw" "$work/root" "$work/script" "$((sector * 512))" || status=$?
[ "$status" = 0 ] || exit "$status"
kill "$daemon"
while kill -0 "$daemon" 2>/dev/null && ! grep -q "^State:.Z" "/proc/$daemon/status" 2>/dev/null; do sleep 0.05; done
qemu-img convert -O qcow2 "$work/disk.qcow2" "$out.part"
digest=$(sha256sum "$out.part" | cut -c1-64)
chmod --reference="$image" "$out.part"
mv "$out.part" "$out"
printf '%s\n' "$digest"
`

// BakeImage runs a script in a copy of the target's image. The error has code conflict when the script itself failed. Nomad clients
// that do not share their folder of images do not get the result.
func (s *Sandbox) BakeImage(ctx context.Context, spec twin.BakeSpec) (twin.Image, error) {
	job, err := s.readJob(ctx, spec.Target)
	if err != nil {
		return twin.Image{}, err
	}
	env := map[string]string{"SCRIPT": base64.StdEncoding.EncodeToString([]byte(spec.Script))}
	text, err := s.runOnce(ctx, onceJob(job, spec.Job, spec.Node, env, bakeScript, spec.Image, "${NOMAD_TASK_DIR}/bake", spec.Result))
	if err != nil {
		return twin.Image{}, err
	}
	digest := strings.TrimSpace(text)
	if !isDigest(digest) {
		return twin.Image{}, api.Errorf(api.CodeInternal, "bake image: the node answered %q", text)
	}
	return twin.Image{Path: spec.Result, Digest: digest, Node: spec.Node}, nil
}

// DiscardImage removes a baked image that no instance will run.
func (s *Sandbox) DiscardImage(ctx context.Context, target api.TargetRef, jobID string, baked twin.Image) error {
	job, err := s.readJob(ctx, target)
	if err != nil {
		return err
	}
	_, err = s.runOnce(ctx, onceJob(job, jobID, baked.Node, nil, `rm -f "$1" "$2"`, baked.Path, baked.Path+twin.PartSuffix))
	return err
}

func (s *Sandbox) readJob(ctx context.Context, ref api.TargetRef) (*nomadapi.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	job, err := s.nomad.Job(ctx, ref.Namespace, ref.Job)
	if err != nil {
		return nil, err
	}
	if job.LookupTaskGroup(ref.Group) == nil {
		return nil, api.Errorf(api.CodeNotFound, "job %s has no group %q", ref.Job, ref.Group)
	}
	return job, nil
}

// BakeNode is the ID of a node that runs the target.
func (s *Sandbox) BakeNode(ctx context.Context, ref api.TargetRef) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(ref.Job, false, s.nomad.Query(ctx, ref.Namespace))
	if err != nil {
		return "", nomad.Explain("list allocations of "+ref.Job, err)
	}
	var nodes []string
	for _, s := range stubs {
		if s.TaskGroup == ref.Group && s.ClientStatus == nomadapi.AllocClientStatusRunning {
			nodes = append(nodes, s.NodeID)
		}
	}
	if len(nodes) == 0 {
		return "", api.Errorf(api.CodeUnavailable, "no node runs %s", ref)
	}
	return slices.Min(nodes), nil
}

// onceJob is a batch job that runs a shell script once on one node.
func onceJob(like *nomadapi.Job, id, node string, env map[string]string, script string, args ...string) *nomadapi.Job {
	group := nomadapi.NewTaskGroup("bake", 1)
	group.RestartPolicy = neverRestart()
	group.ReschedulePolicy = &nomadapi.ReschedulePolicy{Attempts: new(0), Unlimited: new(false)}
	task := nomadapi.NewTask(bakeTask, "raw_exec").
		SetConfig("command", "/bin/sh").
		SetConfig("args", append([]string{"-c", script, "oakum"}, args...))
	task.Env = env
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)}
	task.LogConfig = &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)}
	group.Tasks = []*nomadapi.Task{task}
	return &nomadapi.Job{
		ID: new(id), Name: new(id), Namespace: like.Namespace, Region: like.Region, NodePool: like.NodePool,
		Datacenters: like.Datacenters, Type: new(nomadapi.JobTypeBatch), Priority: new(twinPriority),
		Constraints: []*nomadapi.Constraint{nomadapi.NewConstraint("${node.unique.id}", "=", node)},
		TaskGroups:  []*nomadapi.TaskGroup{group},
	}
}

// runOnce runs a job that onceJob made, waits for its end and returns its output.
// It removes the job afterwards.
func (s *Sandbox) runOnce(ctx context.Context, job *nomadapi.Job) (_ string, err error) {
	namespace, id := *job.Namespace, *job.ID
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = cmp.Or(err, s.StopTwin(ctx, namespace, id))
	}()
	if err := s.nomad.Register(ctx, job, 0); err != nil {
		return "", err
	}
	ticker := time.NewTicker(goneInterval)
	defer ticker.Stop()
	for {
		text, done, err := s.onceResult(ctx, namespace, id)
		if done || err != nil {
			return text, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "", fmt.Errorf("run %s: %w", id, context.Cause(ctx))
		}
	}
}

// onceResult reads the output of a job that onceJob made, once the job has ended.
func (s *Sandbox) onceResult(ctx context.Context, namespace, id string) (text string, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	m := twin.Machine{Namespace: namespace, Job: id, Task: bakeTask}
	stubs, _, err := s.api.Jobs().Allocations(id, true, s.nomad.Query(ctx, namespace))
	if err != nil {
		return "", false, nomad.Explain("list allocations of "+id, err)
	}
	if len(stubs) == 0 {
		state, err := s.unplaced(ctx, m)
		if err == nil && state.Phase == twin.Unplaced {
			err = api.Errorf(api.CodeUnavailable, "no room to work on the image: %s", state.Why)
		}
		return "", false, err
	}
	stub := stubs[0]
	switch stub.ClientStatus {
	case nomadapi.AllocClientStatusComplete:
		text, err := s.printed(ctx, namespace, stub.ID)
		return text, true, err
	case nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
		return "", true, s.onceError(ctx, m, stub)
	}
	return "", false, nil
}

// onceError says why a job that onceJob made has failed. The error has code
// conflict when the patch's script failed.
func (s *Sandbox) onceError(ctx context.Context, m twin.Machine, stub *nomadapi.AllocationListStub) error {
	state := stub.TaskStates[bakeTask]
	if state == nil {
		return api.Errorf(api.CodeUnavailable, "allocation is %s", stub.ClientStatus)
	}
	for _, e := range state.Events {
		if e.Type == nomadapi.TaskTerminated && e.ExitCode == scriptFailed {
			return api.Errorf(api.CodeConflict, "%s", s.lastErrorLine(ctx, m, stub.ID, bakeTask))
		}
	}
	alloc := &nomadapi.Allocation{ID: stub.ID, TaskStates: stub.TaskStates}
	return api.Errorf(api.CodeUnavailable, "%s", s.failureReason(ctx, m, alloc, "allocation is "+stub.ClientStatus))
}

// printed reads the standard output of the task of such a job.
func (s *Sandbox) printed(ctx context.Context, namespace, allocID string) (string, error) {
	q := s.nomad.Query(ctx, namespace)
	q.Params = map[string]string{"task": bakeTask, "type": "stdout", "plain": "true"}
	file, err := s.api.Raw().Response("/v1/client/fs/logs/"+allocID, q)
	if err != nil {
		return "", nomad.Explain("read output of "+allocID, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, outputMax))
	if err := cmp.Or(err, file.Close()); err != nil {
		return "", fmt.Errorf("read output of %s: %w", allocID, err)
	}
	return string(text), nil
}
