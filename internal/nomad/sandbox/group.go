package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

// twinConfig lists the fields of a driver's configuration that a twin keeps. A driver
// without a list has no twins. No field of a list reaches the host, a device, another
// network or a credential.
func twinConfig(driver string) []string {
	switch driver {
	case "docker":
		return []string{
			"args", "cap_drop", "command", "cpu_cfs_period", "cpu_hard_limit", "entrypoint", "force_pull", "image", "image_pull_timeout",
			"init", "interactive", "memory_hard_limit", "pids_limit", "readonly_rootfs", "shm_size", "tty", "ulimit", "work_dir",
		}
	case "exec":
		return []string{"args", "cap_drop", "command", "work_dir"}
	case "java":
		return []string{"args", "cap_drop", "class", "class_path", "jar_path", "jvm_options", "work_dir"}
	case "raw_exec":
		return []string{"args", "command", "work_dir"}
	}
	return nil
}

// groupJob makes the job of a twin out of the target's job, patched or not. It keeps the
// tasks of the group that can be isolated, with one instance, and adds the task that
// sends them the workload. It takes away everything that reaches production, and lists
// in the machine what it took.
func groupJob(job *nomadapi.Job, spec twin.Spec) (*nomadapi.Job, twin.Machine, error) {
	group := job.LookupTaskGroup(spec.Target.Group)
	if spec.Group.Network == "" {
		return nil, twin.Machine{}, api.Errorf(api.CodeInvalid,
			"group %q has no virtual machine to try the patch in, and simulator.network names no network for twins of other tasks", *group.Name)
	}
	check, err := groupCheck(group)
	if err != nil {
		return nil, twin.Machine{}, err
	}
	m := twin.Machine{
		Namespace: *job.Namespace, Job: spec.Job, Load: grouptask.Load, Port: check.Port, Scheme: check.Scheme, Path: check.Path,
	}
	stubs, err := grouptask.NewStubs(group, spec.Group)
	if err != nil {
		return nil, twin.Machine{}, err
	}
	own := *spec.Group
	own.Env = stubbedEnv(own.Env, stubs.Upstreams)
	var tasks []*nomadapi.Task
	kept := dataOf(group, slices.DeleteFunc(slices.Clone(group.Tasks), func(t *nomadapi.Task) bool { return unfit(t, spec) != "" }))
	ends := map[string]ending{}
	m.Lacks = append(groupLacks(group, kept), stubs.Lacks...)
	if stubs.Task != nil {
		stubs.Task.RestartPolicy = neverRestart()
		m.Stubs, tasks = grouptask.Stubs, append(tasks, stubs.Task)
	}
	for _, t := range group.Tasks {
		changed := changes(spec.Group.Apply, t.Name)
		if why := unfit(t, spec); why != "" {
			if changed {
				return nil, twin.Machine{}, api.Errorf(api.CodeInvalid, "task %q can't have an isolated twin: %s", t.Name, why)
			}
			m.Lacks = append(m.Lacks, fmt.Sprintf("task %s (%s)", t.Name, why))
			continue
		}
		if changed && m.Task == "" {
			m.Task, m.Image = t.Name, configText(t, "image")
		}
		ends[t.Name] = endingOf(t)
		mounts := kept.mounts(group, t)
		m.Lacks = append(m.Lacks, isolateProgram(t, metadata(job, group, t), &own, len(mounts))...)
		if len(mounts) > 0 {
			t.Config["mount"] = mounts
		}
		tasks = append(tasks, t)
	}
	if m.Task == "" {
		return nil, twin.Machine{}, api.Errorf(api.CodeInvalid, "the patch changes no task of group %q that can have a twin", *group.Name)
	}
	senders, err := groupSenders(spec, check)
	if err != nil {
		return nil, twin.Machine{}, err
	}
	group.Tasks = append(tasks, senders...)
	isolateNamespace(group, spec.Group.Network)
	if spec.Group.Load.Program != nil {
		m.Program = grouptask.Program
		group.Networks[0].DynamicPorts = append(group.Networks[0].DynamicPorts, grouptask.TargetPort())
	}
	m.Data, m.Uncarried, m.Former = kept.data, kept.lost, spec.Former
	kept.keep(group, ends, spec)
	isolateJob(job, group, spec)
	return job, m, nil
}

// groupSenders are the tasks that send a twin requests. The last one is the load.
func groupSenders(spec twin.Spec, check grouptask.Check) ([]*nomadapi.Task, error) {
	load, err := grouptask.NewLoad(spec.Group.Load, check, reportOf(spec.Former))
	if err != nil {
		return nil, err
	}
	out := []*nomadapi.Task{load}
	if p := spec.Group.Load.Program; p != nil {
		out = []*nomadapi.Task{grouptask.NewProgram(*p), load}
	}
	for _, t := range out {
		t.RestartPolicy = neverRestart()
	}
	return out, nil
}

// changes reports whether a patch changes a task.
func changes(patch []api.Apply, task string) bool {
	return slices.ContainsFunc(patch, func(a api.Apply) bool { return a.Task == task })
}

// configText is a text of the task's configuration, or "".
func configText(t *nomadapi.Task, key string) string {
	text, _ := t.Config[key].(string)
	return text
}

// unfit says why a task can't run in a twin. It is empty when the task can.
func unfit(t *nomadapi.Task, spec twin.Spec) string {
	kept := twinConfig(t.Driver)
	switch {
	case t.Kind != "":
		return "it is a proxy of the mesh"
	case kept == nil:
		return fmt.Sprintf("no twin runs driver %q", t.Driver)
	case t.Driver == "raw_exec" && spec.Pool == "":
		return "driver raw_exec isolates nothing from the node, and no node pool of twins is named (simulate, pool)"
	}
	for _, a := range spec.Group.Apply {
		if a.Task != t.Name {
			continue
		}
		if a.Kind == api.ApplyScript {
			return "a script is for a virtual machine's image"
		}
		if a.Kind == api.ApplyImage && t.Driver != "docker" {
			return fmt.Sprintf("driver %q runs no image", t.Driver)
		}
		for _, key := range slices.Sorted(maps.Keys(a.Config)) {
			if !slices.Contains(kept, key) {
				return fmt.Sprintf("the patch changes %s, which a twin goes without", key)
			}
		}
	}
	for _, a := range t.Artifacts {
		if why := privateArtifact(a); why != "" {
			return why
		}
	}
	return ""
}

// privateArtifact says why an artifact can't be fetched for a twin.
func privateArtifact(a *nomadapi.TaskArtifact) string {
	source := ""
	if a.GetterSource != nil {
		source = *a.GetterSource
	}
	address, _, _ := strings.Cut(source, "?")
	if _, rest, found := strings.Cut(address, "://"); found && strings.Contains(strings.Split(rest, "/")[0], "@") || len(a.GetterHeaders) > 0 {
		return "an artifact needs credentials"
	}
	for key := range a.GetterOptions {
		if !slices.Contains([]string{"archive", "checksum", "filename", "ref"}, key) {
			return fmt.Sprintf("an artifact has the option %s", key)
		}
	}
	return ""
}

// isolateProgram removes from a task everything that belongs to production, and returns
// what was removed that the program may miss. What its configuration needs of the job's
// metadata is written out. Mounted is how many of its volumes have a folder in their place.
func isolateProgram(t *nomadapi.Task, meta variables, g *twin.Group, mounted int) (lacks []string) {
	lack := func(what string, n int) {
		if n > 0 {
			lacks = append(lacks, fmt.Sprintf("%s of task %s", what, t.Name))
		}
	}
	kept := twinConfig(t.Driver)
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		if !slices.Contains(kept, key) {
			delete(t.Config, key)
			lack(t.Driver+"."+key, 1)
			continue
		}
		t.Config[key] = meta.writeOutAll(t.Config[key])
	}
	if t.Driver == "docker" {
		t.Config["force_pull"] = false // the image that the node has is the one that production runs
	}
	env := maps.Clone(g.Env)
	if env == nil {
		env = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		if changesEnv(g.Apply, t.Name, name) {
			env[name] = t.Env[name]
		} else if _, given := g.Env[name]; !given {
			lack("env."+name, 1)
		}
	}
	lack("the templates", len(t.Templates))
	lack("the volumes", len(t.VolumeMounts)-mounted)
	if t.Vault != nil {
		lack("Vault's token", 1)
	}
	if t.Resources != nil {
		lack("the devices", len(t.Resources.Devices))
	}
	bareTask(t)
	t.Env, t.Leader, t.KillTimeout = env, false, new(time.Second)
	t.LogConfig = &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(2)}
	return lacks
}

// metadata are the variables of a task that its job's metadata sets. Its environment is
// not among them: that stays behind.
func metadata(job *nomadapi.Job, group *nomadapi.TaskGroup, t *nomadapi.Task) variables {
	return variablesOf(job, group, &nomadapi.Task{Meta: t.Meta})
}

// writeOutAll is writeOut for every text in a value of a driver's configuration.
func (v variables) writeOutAll(value any) any {
	switch value := value.(type) {
	case string:
		return v.writeOut(value)
	case []any:
		for i := range value {
			value[i] = v.writeOutAll(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = v.writeOutAll(value[key])
		}
	}
	return value
}

// changesEnv reports whether a patch sets an environment variable of a task.
func changesEnv(patch []api.Apply, task, name string) bool {
	return slices.ContainsFunc(patch, func(a api.Apply) bool {
		_, set := a.Env[name]
		return a.Task == task && set
	})
}

// groupLacks lists what a twin goes without that the whole group has in production.
func groupLacks(group *nomadapi.TaskGroup, kept keptData) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(group.Volumes)) {
		if kept.folders[name] != "" {
			out = append(out, "the data of volume "+name+" (its folder is empty)")
			continue
		}
		out = append(out, "volume "+name)
	}
	for _, s := range group.Services {
		if s.Connect != nil {
			out = append(out, "the mesh of service "+cmp.Or(s.Name, s.PortLabel))
		}
	}
	return out
}

// isolateNamespace keeps one instance of a group, in a network namespace with nothing
// but what the nodes' CNI network gives it.
func isolateNamespace(group *nomadapi.TaskGroup, network string) {
	ports := namespacePorts(group)
	isolateGroup(group)
	group.Networks = []*nomadapi.NetworkResource{{Mode: "cni/" + network, DynamicPorts: ports}}
}

// namespacePorts are the ports of a group as a network namespace has them. Nothing maps
// a port of the node to one of them, so Nomad may choose any. A port that production
// reserves is the one that the program listens at.
func namespacePorts(group *nomadapi.TaskGroup) []nomadapi.Port {
	var out []nomadapi.Port
	for _, n := range group.Networks {
		for _, p := range n.DynamicPorts {
			out = append(out, nomadapi.Port{Label: p.Label, To: p.To})
		}
		for _, p := range n.ReservedPorts {
			out = append(out, nomadapi.Port{Label: p.Label, To: cmp.Or(p.To, p.Value)})
		}
	}
	return out
}

// groupCheck is the first HTTP check of a group.
func groupCheck(group *nomadapi.TaskGroup) (grouptask.Check, error) {
	services := slices.Clone(group.Services)
	for _, t := range group.Tasks {
		services = append(services, t.Services...)
	}
	for _, s := range services {
		for _, c := range s.Checks {
			port := cmp.Or(c.PortLabel, s.PortLabel)
			if c.Type == "http" && port != "" {
				return grouptask.Check{Scheme: cmp.Or(c.Protocol, "http"), Path: cmp.Or(c.Path, "/"), Port: port}, nil
			}
		}
	}
	return grouptask.Check{}, api.Errorf(api.CodeInvalid,
		"group %q has no HTTP check: nothing says whether a twin of it is healthy", *group.Name)
}
