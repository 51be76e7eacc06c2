package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

// twinPriority lets production preempt a twin, and never the reverse.
const twinPriority = 1

// confinement is QEMU's own system call filter: it starts no program, changes no
// user, and takes no more of the host than it has.
const confinement = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

// twinJob makes the job of a twin out of the target's job, patched or not. It keeps
// the QEMU task alone, with one instance, on an overlay of the task's image. It
// takes away everything that reaches production. The image, and whatever it is laid
// over, must lie in one of the roots.
func twinJob(job *nomadapi.Job, spec twin.Spec, roots []string) (*nomadapi.Job, twin.Machine, error) {
	group := job.LookupTaskGroup(spec.Target.Group)
	vm, err := twinTask(group, spec.Task)
	if err != nil {
		return nil, twin.Machine{}, err
	}
	vars := variablesOf(job, group, vm)
	maps.Copy(vars, spec.Env)
	machine, err := qemu.Read(qemu.Task{
		Name: vm.Name, Config: vm.Config, Ports: portLabels(group), Format: vars.declaredFormat(), WriteOut: vars.writeOut,
	})
	if err != nil {
		return nil, twin.Machine{}, err
	}
	prep := preparation{roots: roots, files: append([]qemu.File{machine.Disk}, machine.Files...)}
	if err := prep.sources(job, group, vm, vars, spec.Apply); err != nil {
		return nil, twin.Machine{}, err
	}
	m := twin.Machine{Namespace: *job.Namespace, Job: spec.Job, Image: machine.Disk.Path, Task: vm.Name, Env: vars.taken(spec.Env, vm.Config)}
	reach(&m, group, vm, machine.Ports)
	prep.data(&m, group, spec)

	args, config := machine.Args, machine.Config
	if !spec.Unmonitored {
		prep.monitor, m.Monitored = twinMonitor, true
		args = append(args, "-qmp", "pipe:"+twinMonitor, "-sandbox", confinement)
		args = append(args, captures(machine.Networks)...)
		m.Captures = len(machine.Networks)
		if len(spec.Commands) > 0 && !hasAgentPort(machine.Args) {
			prep.agent, m.Agent = agentFIFOs, true
			args = append(args, agentArguments()...)
			delete(config, "guest_agent") // its port would be a second one
		}
	}
	config["args"], config["image_path"] = args, qemu.Folder+"/"+qemu.DiskName
	prepare := prep.task(vm)
	isolateMachine(vm, config)
	isolateGroup(group)
	carry(group, m)
	group.Tasks = slices.Concat([]*nomadapi.Task{prepare, vm}, prep.makers)
	if m.Monitored {
		group.Tasks = append(group.Tasks, asker(vm, m.Captures))
	}
	if m.Agent {
		ask, err := agentAsker(vm, spec.Commands)
		if err != nil {
			return nil, twin.Machine{}, err
		}
		group.Tasks = append(group.Tasks, ask)
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

// portLabels are the labels of a group's ports.
func portLabels(group *nomadapi.TaskGroup) []string {
	var out []string
	for _, n := range group.Networks {
		for _, p := range slices.Concat(n.DynamicPorts, n.ReservedPorts) {
			out = append(out, p.Label)
		}
	}
	return out
}

// sources finds out where the machine's files come from, and takes along what brings
// them: artifacts, and tasks that make the disk.
func (p *preparation) sources(job *nomadapi.Job, group *nomadapi.TaskGroup, vm *nomadapi.Task, vars variables, changed []api.Apply) (err error) {
	from := func(o qemu.Origin) bool {
		return slices.ContainsFunc(p.files, func(f qemu.File) bool { return qemu.OriginOf(f.Path) == o })
	}
	if from(qemu.FromGroup) {
		if p.makers, err = makers(job, group, changed); err != nil {
			return err
		}
		p.roots = append(slices.Clone(p.roots), "${NOMAD_ALLOC_DIR}")
	}
	if from(qemu.FromTask) {
		p.roots = append(slices.Clone(p.roots), ".")
	}
	if !from(qemu.FromGroup) && !from(qemu.FromTask) {
		vm.Artifacts = nil
	}
	vm.Artifacts = bareArtifacts(vm.Artifacts, vars)
	for _, f := range p.files {
		if o := qemu.OriginOf(f.Path); (o == qemu.FromTask || o == qemu.FromGroup && len(p.makers) == 0) && len(vm.Artifacts) == 0 {
			return api.Errorf(api.CodeInvalid, "task %q: nothing that may go along with a twin makes %s", vm.Name, f.Path)
		}
	}
	if len(p.roots) == 0 {
		return api.Errorf(api.CodeInvalid, "task %q: %s lies in no folder that images may come from; set simulator.image_roots", vm.Name, p.files[0].Path)
	}
	return nil
}

// bareTask removes from a task everything that belongs to production. It keeps the
// user, who may do less than the client's own.
func bareTask(t *nomadapi.Task) {
	t.Env, t.Meta, t.Templates, t.DispatchPayload = nil, nil, nil, nil
	t.Services, t.VolumeMounts, t.CSIPluginConfig, t.ScalingPolicies = nil, nil, nil, nil
	t.Vault, t.Consul, t.Identity, t.Identities, t.Secrets, t.Actions = nil, nil, nil, nil, nil, nil
	t.Affinities, t.ShutdownDelay, t.Schedule, t.KillSignal, t.Kind = nil, 0, nil, "", ""
	if t.Resources != nil {
		t.Resources.Networks, t.Resources.Devices = nil, nil
	}
	t.RestartPolicy = neverRestart()
}

// isolateMachine removes from the machine's task everything that belongs to
// production.
func isolateMachine(vm *nomadapi.Task, config map[string]any) {
	bareTask(vm)
	vm.Config, vm.Artifacts = config, nil
	vm.Leader = true
	// The guest has no data to save, so it may be killed after a second.
	vm.KillTimeout = new(time.Second)
}

// isolateGroup keeps one instance of the group, with ports of its own.
func isolateGroup(group *nomadapi.TaskGroup) {
	group.Count, group.Meta = new(1), nil
	group.Services, group.Volumes, group.Scaling, group.Consul = nil, nil, nil, nil
	group.Affinities, group.Spreads, group.Update, group.Migrate = nil, nil, nil, nil
	group.ShutdownDelay, group.Disconnect, group.MaxRunDuration = nil, nil, nil
	//nolint:staticcheck // a job written for an older Nomad may still set these
	group.StopAfterClientDisconnect, group.MaxClientDisconnect, group.PreventRescheduleOnLost = nil, nil, nil
	group.RestartPolicy = neverRestart()
	group.ReschedulePolicy = &nomadapi.ReschedulePolicy{Attempts: new(0), Unlimited: new(false)}
	if d := group.EphemeralDisk; d != nil {
		d.Sticky, d.Migrate = new(false), new(false)
	}
	for _, n := range group.Networks {
		// Production holds the reserved port, so Nomad picks another one.
		for _, p := range n.ReservedPorts {
			p.Value = 0
			n.DynamicPorts = append(n.DynamicPorts, p)
		}
		n.ReservedPorts, n.MBits, n.IP, n.CIDR, n.DNS, n.Hostname = nil, nil, "", "", nil, ""
	}
}

// isolateJob gives the twin's job an ID and a name of its own, and the place that
// twins run at.
func isolateJob(job *nomadapi.Job, group *nomadapi.TaskGroup, spec twin.Spec) {
	job.ID, job.Name = new(spec.Job), new(spec.Job)
	job.Type, job.Priority, job.Meta = new(nomadapi.JobTypeService), new(twinPriority), nil
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	job.Affinities, job.Spreads, job.Update, job.Multiregion = nil, nil, nil, nil
	job.Periodic, job.ParameterizedJob, job.Reschedule, job.Migrate, job.UI = nil, nil, nil, nil, nil
	job.ParentID, job.DispatchIdempotencyToken, job.Payload, job.Dispatched = nil, nil, nil, false
	job.ConsulNamespace, job.VaultNamespace, job.NomadTokenID = nil, nil, nil
	if spec.Pool != "" {
		job.NodePool, job.Datacenters = new(spec.Pool), []string{"*"}
	}
	for _, of := range []*[]*nomadapi.Constraint{&job.Constraints, &group.Constraints} {
		*of = slices.DeleteFunc(*of, func(c *nomadapi.Constraint) bool { return productionOnly(c, spec) })
	}
	for _, t := range group.Tasks {
		t.Constraints = slices.DeleteFunc(t.Constraints, func(c *nomadapi.Constraint) bool { return productionOnly(c, spec) })
	}
	if spec.Node != "" {
		job.Constraints = append(job.Constraints, nomadapi.NewConstraint("${node.unique.id}", "=", spec.Node))
	}
	for _, node := range spec.Avoid {
		job.Constraints = append(job.Constraints, nomadapi.NewConstraint("${node.unique.id}", "!=", node))
	}
}

// productionOnly reports whether a constraint is for what a twin does not have:
// Vault, Consul, and, where twins run on nodes of their own, production's class.
func productionOnly(c *nomadapi.Constraint, spec twin.Spec) bool {
	return strings.HasPrefix(c.LTarget, "${attr.vault.") || strings.HasPrefix(c.LTarget, "${attr.consul.") ||
		(c.LTarget == "${node.class}" && spec.Pool != "")
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
