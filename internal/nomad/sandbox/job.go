package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// twinDisk is the twin's own disk: a qcow2 laid over the image.
	twinDisk = "${NOMAD_ALLOC_DIR}/data/oakum-twin.qcow2"
	// twinDigestFile is where the node writes the image's digest. The path is the
	// one that Nomad's file API uses.
	twinDigestFile = "alloc/data/oakum-twin.sha256"
	// twinPriority lets production preempt a twin, and never the reverse.
	twinPriority = 1
	// prepareTask creates the files that the machine opens.
	prepareTask = "oakum-prepare"
)

// prepareScript creates the files of a monitor (see monitor.go), lays a qcow2 over
// an image of any format, and writes the image's digest beside it. Arguments:
// monitor, image, overlay, digest file. It skips the monitor or the overlay when
// the argument is empty.
//
// Where it can't create a FIFO, it creates an empty file, so that QEMU can start.
const prepareScript = `set -eu
if [ -n "$1" ]; then
  [ -p "$1.in" ] || mkfifo -m 600 "$1.in" 2>/dev/null || : >"$1.in"
  : >"$1.out"
fi
[ -n "$2" ] || exit 0
format=$(qemu-img info -U "$2" | sed -n 's/^file format: //p')
qemu-img create -q -f qcow2 -b "$2" -F "$format" "$3"
sha256sum "$2" | cut -c1-64 | tr -d '\n' >"$4"
`

// twinJob makes the job of a twin out of the target's job, patched or not. It
// keeps the QEMU task alone, with one instance, on an overlay of the task's image.
// It takes away everything that reaches production.
func twinJob(job *nomadapi.Job, spec twin.Spec) (*nomadapi.Job, twin.Machine, error) {
	group := job.LookupTaskGroup(spec.Target.Group)
	vm, err := twinTask(group, spec.Task)
	if err != nil {
		return nil, twin.Machine{}, err
	}
	image, ok := vm.Config["image_path"].(string)
	if !ok || image == "" {
		return nil, twin.Machine{}, api.Errorf(api.CodeInvalid, "task %q has no image_path", vm.Name)
	}
	args, ports, err := isolateArgs(vm)
	if err != nil {
		return nil, twin.Machine{}, err
	}
	m := twin.Machine{Namespace: *job.Namespace, Job: spec.Job, Image: image, Task: vm.Name}
	reach(&m, group, vm, ports)

	monitor := ""
	if !spec.Unmonitored {
		monitor, m.Monitored = twinMonitor, true
		args = append(args, "-qmp", "pipe:"+monitor)
	}
	isolateTask(vm, args)
	isolateGroup(group, vm)
	if ownsDisk(image) {
		m.Image = ""
	} else {
		group.Tasks = []*nomadapi.Task{vm}
		vm.Config["image_path"] = twinDisk
	}
	if m.Image != "" || m.Monitored {
		group.Tasks = slices.Insert(group.Tasks, 0, prepare(vm, monitor, m.Image))
	}
	if m.Monitored {
		group.Tasks = append(group.Tasks, asker(vm))
	}
	isolateJob(job, group, spec)
	return job, m, nil
}

// twinTask is the QEMU task to try.
func twinTask(group *nomadapi.TaskGroup, name string) (*nomadapi.Task, error) {
	var found *nomadapi.Task
	for _, task := range group.Tasks {
		if task.Driver != "qemu" || (name != "" && task.Name != name) {
			continue
		}
		if found != nil {
			return nil, api.Errorf(api.CodeInvalid, "group %q has several QEMU tasks; the patch must name one", *group.Name)
		}
		found = task
	}
	if found == nil && name != "" {
		return nil, api.Errorf(api.CodeInvalid, "task %q of group %q is no QEMU task: only virtual machines have twins", name, *group.Name)
	}
	if found == nil {
		return nil, api.Errorf(api.CodeInvalid, "group %q has no QEMU task: only virtual machines have twins", *group.Name)
	}
	return found, nil
}

// ownsDisk reports whether the job itself puts the disk into the allocation. No
// other machine writes to such a disk.
func ownsDisk(image string) bool {
	return !strings.HasPrefix(image, "/") && !strings.HasPrefix(image, "${NOMAD_META") && !strings.HasPrefix(image, "${meta")
}

// prepare is the task that creates the twin's disk and the files of its monitor.
// An empty monitor or image is left out.
func prepare(vm *nomadapi.Task, monitor, image string) *nomadapi.Task {
	return &nomadapi.Task{
		Name:      prepareTask,
		Driver:    "raw_exec",
		User:      vm.User, // whoever runs the machine must be able to open them
		Lifecycle: &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPrestart},
		Config: map[string]any{
			"command": "/bin/sh",
			"args":    []string{"-c", prepareScript, "prepare", monitor, image, twinDisk, "${NOMAD_ALLOC_DIR}/data/oakum-twin.sha256"},
		},
		Meta:          maps.Clone(vm.Meta), // the image's path may be written with it
		Resources:     &nomadapi.Resources{CPU: new(50), MemoryMB: new(64)},
		RestartPolicy: neverRestart(),
		LogConfig:     &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)},
	}
}

// neverRestart makes a failure final: a simulation is over when a twin has died.
func neverRestart() *nomadapi.RestartPolicy {
	return &nomadapi.RestartPolicy{
		Attempts: new(0), Interval: new(time.Minute), Delay: new(time.Second), Mode: new("fail"),
	}
}

// isolateTask removes from the task everything that belongs to production.
func isolateTask(vm *nomadapi.Task, args []string) {
	vm.Config["args"] = args
	vm.Services, vm.VolumeMounts, vm.ScalingPolicies, vm.Affinities = nil, nil, nil, nil
	vm.Vault, vm.Consul, vm.Identity, vm.Identities, vm.Secrets, vm.Actions = nil, nil, nil, nil, nil, nil
	vm.Leader, vm.ShutdownDelay, vm.Schedule = true, 0, nil
	vm.RestartPolicy = neverRestart()
	// The guest has no data to save, so it may be killed after a second.
	vm.KillTimeout = new(time.Second)
}

// isolateGroup keeps one instance of the machine, and the prestart tasks that
// create its disk when the job does so itself.
func isolateGroup(group *nomadapi.TaskGroup, vm *nomadapi.Task) {
	prestart := func(t *nomadapi.Task) bool {
		return t.Lifecycle != nil && t.Lifecycle.Hook == nomadapi.TaskLifecycleHookPrestart && !t.Lifecycle.Sidecar
	}
	var tasks []*nomadapi.Task
	for _, t := range group.Tasks {
		if t == vm || prestart(t) {
			t.Services, t.VolumeMounts = nil, nil
			t.RestartPolicy = neverRestart()
			tasks = append(tasks, t)
		}
	}
	group.Tasks = tasks
	group.Count = new(1)
	group.Services, group.Volumes, group.Scaling, group.Consul = nil, nil, nil, nil
	group.Affinities, group.Spreads, group.Update, group.Migrate = nil, nil, nil, nil
	group.ShutdownDelay, group.Disconnect, group.MaxRunDuration = nil, nil, nil
	//nolint:staticcheck // a job written for an older Nomad may still set these
	group.StopAfterClientDisconnect, group.MaxClientDisconnect, group.PreventRescheduleOnLost = nil, nil, nil
	group.RestartPolicy = neverRestart()
	group.ReschedulePolicy = &nomadapi.ReschedulePolicy{Attempts: new(0), Unlimited: new(false)}
	for _, n := range group.Networks {
		// Production holds the reserved port, so Nomad picks another one.
		for _, p := range n.ReservedPorts {
			p.Value = 0
			n.DynamicPorts = append(n.DynamicPorts, p)
		}
		n.ReservedPorts, n.MBits, n.IP, n.CIDR = nil, nil, "", ""
	}
}

// isolateJob gives the twin's job an ID and a name of its own.
func isolateJob(job *nomadapi.Job, group *nomadapi.TaskGroup, spec twin.Spec) {
	job.ID, job.Name = new(spec.Job), new(spec.Job)
	job.Type, job.Priority = new(nomadapi.JobTypeService), new(twinPriority)
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	job.Affinities, job.Spreads, job.Update, job.Multiregion = nil, nil, nil, nil
	job.Periodic, job.ParameterizedJob, job.Reschedule, job.Migrate, job.UI = nil, nil, nil, nil, nil
	job.ParentID, job.DispatchIdempotencyToken, job.Payload, job.Dispatched = nil, nil, nil, false
	if spec.Node != "" {
		job.Constraints = append(job.Constraints, nomadapi.NewConstraint("${node.unique.id}", "=", spec.Node))
	}
	for _, node := range spec.Avoid {
		job.Constraints = append(job.Constraints, nomadapi.NewConstraint("${node.unique.id}", "!=", node))
	}
}

// reach finds out how the twin is asked whether it is healthy: by an HTTP check of
// the job, else by a gRPC check, else by a TCP check, else at the first forwarded port.
// It takes only checks whose port is forwarded into the machine.
func reach(m *twin.Machine, group *nomadapi.TaskGroup, vm *nomadapi.Task, ports []string) {
	m.Port = ports[0]
	best := -1
	for _, s := range slices.Concat(group.Services, vm.Services) {
		if !slices.Contains(ports, s.PortLabel) {
			continue
		}
		for _, check := range s.Checks {
			rank := map[string]int{"tcp": 0, "grpc": 1, "http": 2}
			r, known := rank[check.Type]
			if !known || r <= best || (check.PortLabel != "" && check.PortLabel != s.PortLabel) {
				continue
			}
			best = r
			m.Port, m.Scheme, m.Path, m.Host = s.PortLabel, "", "", ""
			switch {
			case check.Type == "http":
				m.Scheme, m.Path = cmp.Or(check.Protocol, "http"), cmp.Or(check.Path, "/")
			case check.Type == "grpc" && check.GRPCUseTLS:
				m.Scheme, m.Path = twin.SchemeGRPCS, check.GRPCService
			case check.Type == "grpc":
				m.Scheme, m.Path = twin.SchemeGRPC, check.GRPCService
			}
			if !strings.Contains(s.Address, "${") {
				m.Host = s.Address
			}
		}
	}
}

// isolateArgs removes from the machine's QEMU arguments everything that connects it to
// something outside of the twin. It also returns the labels of the ports that are
// forwarded into the machine. An argument that can't be removed safely is an
// error: the simulator makes no twin of such a machine.
func isolateArgs(vm *nomadapi.Task) (args, ports []string, err error) {
	raw, _ := vm.Config["args"].([]any)
	label := regexp.MustCompile(`NOMAD_(?:HOST_)?PORT_(\w+)`)
	for i := 0; i < len(raw); i++ {
		flag, _ := raw[i].(string)
		value := ""
		if takesValue(flag) && i+1 < len(raw) {
			value, _ = raw[i+1].(string)
		}
		if flag == "-snapshot" {
			continue // the overlay is the twin's own
		}
		if reason := reachesOut(flag, value); reason != "" {
			return nil, nil, api.Errorf(api.CodeInvalid, "task %q: argument %s %s %s: it can't have an isolated twin", vm.Name, flag, value, reason)
		}
		if flag == "-netdev" || flag == "-nic" || flag == "-net" {
			if strings.HasPrefix(value, "user") {
				value = restrict(value)
				for _, m := range label.FindAllStringSubmatch(value, -1) {
					ports = append(ports, m[1])
				}
			}
		}
		args = append(args, flag)
		if takesValue(flag) {
			args = append(args, value)
			i++
		}
	}
	if len(ports) == 0 {
		return nil, nil, api.Errorf(api.CodeInvalid,
			"task %q forwards no port of its group into the machine (-netdev user,hostfwd=...${NOMAD_PORT_...}): a twin could not be reached", vm.Name)
	}
	return args, ports, nil
}

// takesValue reports whether isolateArgs has to read the argument after a flag.
func takesValue(flag string) bool {
	switch flag {
	case "-netdev", "-nic", "-net", "-device", "-drive", "-blockdev", "-hda", "-hdb", "-hdc", "-hdd", "-sd", "-mtdblock",
		"-pflash", "-virtfs", "-fsdev", "-chardev", "-monitor", "-qmp", "-serial", "-parallel", "-incoming":
		return true
	}
	return false
}

// reachesOut says how an argument would connect the twin to something outside of
// it. It is empty when the argument does not.
func reachesOut(flag, value string) string {
	switch flag {
	case "-netdev", "-nic", "-net":
		kind, rest, _ := strings.Cut(value, ",")
		switch {
		case kind == "none" || kind == "nic":
			return ""
		case kind != "user":
			return "joins a network"
		case strings.Contains(rest, "guestfwd=") || strings.Contains(rest, "smb=") || strings.Contains(rest, "tftp="):
			return "opens a door to the host"
		}
	case "-device":
		if strings.HasPrefix(value, "vfio") {
			return "takes a device of the host"
		}
	case "-drive", "-blockdev":
		if !strings.Contains(value, "readonly=on") && !strings.Contains(value, "read-only=on") {
			return "writes to a disk that is not the twin's"
		}
	case "-hda", "-hdb", "-hdc", "-hdd", "-sd", "-mtdblock", "-pflash":
		return "writes to a disk that is not the twin's"
	case "-virtfs", "-fsdev":
		return "shares a folder of the host"
	case "-chardev", "-monitor", "-qmp", "-serial", "-parallel":
		if !slices.Contains([]string{"none", "null", "stdio", "mon:stdio"}, value) {
			return "opens a door to the host"
		}
	case "-incoming":
		return "takes over the state of another machine"
	}
	return ""
}

// restrict makes QEMU's user network refuse every connection that the guest opens.
// Ports that are forwarded into the guest still work.
func restrict(netdev string) string {
	parts := slices.DeleteFunc(strings.Split(netdev, ","), func(p string) bool { return strings.HasPrefix(p, "restrict=") })
	return fmt.Sprintf("%s,restrict=on%s", parts[0], joined(parts[1:]))
}

// joined is the rest of a comma-separated argument.
func joined(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return "," + strings.Join(parts, ",")
}
