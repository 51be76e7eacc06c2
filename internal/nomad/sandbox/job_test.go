package sandbox

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

// production is a job with everything that must not reach a twin.
func production(args ...string) *nomadapi.Job {
	if args == nil {
		args = []string{"-snapshot", "-no-reboot", "-netdev", "user,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080", "-device", "virtio-net-pci,netdev=n0"}
	}
	job := nomadapi.NewServiceJob("store", "store", "global", 80)
	job.Namespace = new("prod")
	job.Version, job.JobModifyIndex, job.Stop = new(uint64(7)), new(uint64(70)), new(false)
	job.Constraints = []*nomadapi.Constraint{{LTarget: "${node.class}", RTarget: "vm", Operand: "="}}
	job.Spreads = []*nomadapi.Spread{{Attribute: "${node.datacenter}"}}
	group := nomadapi.NewTaskGroup("store", 4)
	group.Networks = []*nomadapi.NetworkResource{{
		DynamicPorts:  []nomadapi.Port{{Label: "http"}},
		ReservedPorts: []nomadapi.Port{{Label: "admin", Value: 9000}},
	}}
	group.Volumes = map[string]*nomadapi.VolumeRequest{"data": {Name: "data", Type: "host", Source: "data"}}
	group.Services = []*nomadapi.Service{{
		Name: "store", PortLabel: "http", Address: "127.0.0.1", Connect: &nomadapi.ConsulConnect{},
		Checks: []nomadapi.ServiceCheck{{Type: "tcp"}, {Type: "http", Path: "/health", Protocol: "https"}},
	}}
	vm := nomadapi.NewTask("vm", "qemu").SetConfig("image_path", "/images/store-1.0.qcow2").SetConfig("args", args)
	vm.VolumeMounts = []*nomadapi.VolumeMount{{Volume: new("data")}}
	secretive(vm)
	vm.KillTimeout = new(time.Minute)
	job.Meta, group.Meta = map[string]string{"password": "job-secret"}, map[string]string{"password": "group-secret"}
	proxy := nomadapi.NewTask("proxy", "raw_exec").SetConfig("command", "consul")
	group.Tasks = []*nomadapi.Task{proxy, vm}
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	return job
}

// secretive gives a task everything that may hold or fetch a secret.
func secretive(task *nomadapi.Task) {
	task.Env = map[string]string{"PASSWORD": "env-secret"}
	task.Meta = map[string]string{"password": "task-secret"}
	task.Templates = []*nomadapi.Template{{EmbeddedTmpl: new("template-secret"), DestPath: new("secrets/a")}}
	task.Vault = &nomadapi.Vault{Policies: []string{"vault-secret"}}
	task.Consul = &nomadapi.Consul{Namespace: "consul-secret"}
	task.Identity = &nomadapi.WorkloadIdentity{Name: "identity-secret"}
	task.Identities = []*nomadapi.WorkloadIdentity{{Name: "identities-secret"}}
	task.Secrets = []*nomadapi.Secret{{Name: "secrets-secret"}}
	task.DispatchPayload = &nomadapi.DispatchPayloadConfig{File: "payload-secret"}
	task.Actions = []*nomadapi.Action{{Name: "action-secret"}}
	task.Artifacts = []*nomadapi.TaskArtifact{{
		GetterSource: new("https://artifact-secret:x@mirror.example/${NOMAD_META_version}/disk.qcow2"), RelativeDest: new("local/"),
		GetterHeaders: map[string]string{"Authorization": "header-secret"},
		GetterOptions: map[string]string{"checksum": "sha256:0a", "sshkey": "key-secret"},
	}}
	task.Resources = &nomadapi.Resources{Devices: []*nomadapi.RequestedDevice{{Name: "device-secret"}}}
}

// make builds the twin as StartTwin does.
func makeTwin(t *testing.T, job *nomadapi.Job, changes ...api.Apply) (*nomadapi.Job, twin.Machine, error) {
	t.Helper()
	return makeTwinIn(t, job, twin.Spec{Apply: changes})
}

func makeTwinIn(t *testing.T, job *nomadapi.Job, spec twin.Spec) (*nomadapi.Job, twin.Machine, error) {
	t.Helper()
	spec.Job, spec.Target = "oakum-twin-s-1-treatment", api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}
	spec.Task, spec.Node = "vm", "n1"
	next, err := nomad.Patched(job, "store", spec.Apply)
	must.NoError(t, err)
	former, err := nomad.Patched(job, "store", nil)
	must.NoError(t, err)
	return (&Sandbox{}).machineJob(former, next, spec)
}

// words are the arguments of a task of a twin, without the script of a shell.
func words(task *nomadapi.Task) []string {
	args := task.Config["args"].([]string)
	if args[0] == "-c" {
		return args[2:]
	}
	return args
}

// firmware are the words of a preparation that name the folders of firmware.
func firmware() []string {
	var out []string
	for _, root := range firmwareRoots() {
		out = append(out, "firmware-root", root)
	}
	return out
}

func TestTwinJob_LeavesNothingOfProduction(t *testing.T) {
	job, m, err := makeTwin(t, production(), api.Apply{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2"})
	must.NoError(t, err)
	must.Eq(t, twin.Machine{
		Namespace: "prod", Job: "oakum-twin-s-1-treatment", Image: "/images/store-1.1.qcow2", Task: "vm",
		Port: "http", Host: "127.0.0.1", Scheme: "https", Path: "/health", Monitored: true, Captures: 1,
	}, m)

	must.Eq(t, "oakum-twin-s-1-treatment", *job.ID)
	must.Eq(t, 1, *job.Priority)
	must.Nil(t, job.Spreads)
	must.Len(t, 2, job.Constraints)
	must.Eq(t, "n1", job.Constraints[1].RTarget)
	must.Nil(t, job.Version)

	group := job.TaskGroups[0]
	must.Eq(t, 1, *group.Count)
	must.Nil(t, group.Services)
	must.Nil(t, group.Volumes)
	must.Len(t, 0, group.Networks[0].ReservedPorts)
	must.Eq(t, []nomadapi.Port{{Label: "http"}, {Label: "admin"}}, group.Networks[0].DynamicPorts)

	must.Eq(t, []string{"oakum-prepare", "vm", "oakum-ask"}, taskNames(job))
	prepare, vm, ask := group.Tasks[0], group.Tasks[1], group.Tasks[2]
	must.Eq(t, "raw_exec", prepare.Driver)
	must.Eq(t, "prestart", prepare.Lifecycle.Hook)
	must.Eq(t, slices.Concat([]string{"prepare", twinMonitor, qemu.Folder, "root", "/images"}, firmware(),
		[]string{"disk", "oakum-twin.qcow2", "qcow2", "/images/store-1.1.qcow2"}), words(prepare))
	must.Nil(t, prepare.Artifacts)
	must.Eq(t, map[string]any{
		"image_path": "${NOMAD_ALLOC_DIR}/data/oakum-twin.qcow2",
		"args": []string{
			"-no-reboot",
			"-netdev", "user,restrict=on,ipv6=off,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080",
			"-device", "virtio-net-pci,netdev=n0",
			"-qmp", "pipe:${NOMAD_ALLOC_DIR}/data/oakum-qmp",
			"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
			"-object", "filter-dump,id=oakum-egress-0,netdev=n0,queue=rx,maxlen=256,file=${NOMAD_ALLOC_DIR}/data/oakum-egress-0.pcap",
		},
	}, vm.Config)
	must.Eq(t, []string{"ask", twinMonitor, qemu.Folder, "67108864", "oakum-egress-0"}, words(ask))
	must.Eq(t, "poststart", ask.Lifecycle.Hook)
	must.Eq(t, "delay", *ask.RestartPolicy.Mode) // a task that fails takes its machine with it
	must.Nil(t, vm.VolumeMounts)
	must.Eq(t, 0, *vm.RestartPolicy.Attempts)
	must.Eq(t, time.Second, *vm.KillTimeout)
	noSecrets(t, job)
}

// noSecrets fails when a job has any of the secrets that secretive put into it.
func noSecrets(t *testing.T, job *nomadapi.Job) {
	t.Helper()
	text, err := json.Marshal(job)
	must.NoError(t, err)
	must.StrNotContains(t, string(text), "-secret")
}

// TestTwinJob_ControlIsTheJobAsItIs: the same, but for the image.
func TestTwinJob_ControlIsTheJobAsItIs(t *testing.T) {
	control, c, err := makeTwin(t, production())
	must.NoError(t, err)
	treatment, m, err := makeTwin(t, production(), api.Apply{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.0.qcow2"})
	must.NoError(t, err)
	must.Eq(t, c, m)
	a, err := json.Marshal(control)
	must.NoError(t, err)
	b, err := json.Marshal(treatment)
	must.NoError(t, err)
	must.Eq(t, string(a), string(b))
}

// TestTwinJob_JobPatchOnAMachine: what a patch puts into the environment reaches the
// machine where its arguments say so, and is checked there.
func TestTwinJob_JobPatchOnAMachine(t *testing.T) {
	args := []string{"-append", "root=${ROOT}", "-kernel", "/images/vmlinuz", "-netdev", "user,hostfwd=tcp::${NOMAD_PORT_http}-:80"}
	job, _, err := makeTwin(t, production(args...), api.Apply{Kind: api.ApplyJob, Task: "vm", Config: map[string]any{"accelerator": "kvm"}, Env: map[string]string{"ROOT": "/dev/vdb"}})
	must.NoError(t, err)
	vm := job.TaskGroups[0].Tasks[1]
	must.Eq(t, any("kvm"), vm.Config["accelerator"])
	must.SliceContains(t, words(vm), "root=/dev/vdb")
	must.Nil(t, vm.Env)
	_, _, err = makeTwin(t, production("-netdev", "user,${ROOT}"), api.Apply{Kind: api.ApplyJob, Task: "vm", Env: map[string]string{"ROOT": "smb=/"}})
	must.ErrorContains(t, err, `task "vm", args[0]: -netdev: property "smb" is not allowed`)
}

func TestTwinJob_KeepsTheTasksThatMakeItsDisk(t *testing.T) {
	source := production()
	vm := source.TaskGroups[0].Tasks[1]
	vm.Config["image_path"], vm.Artifacts = "${NOMAD_ALLOC_DIR}/data/root.qcow2", nil
	source.TaskGroups[0].Meta["image"] = "store-1.0"
	maker := nomadapi.NewTask("disk", "raw_exec").SetConfig("command", "qemu-img").
		SetConfig("args", []string{"create", "-b", "/images/${NOMAD_META_image}.qcow2", "${NOMAD_ALLOC_DIR}/data/root.qcow2"})
	maker.Lifecycle, maker.User = &nomadapi.TaskLifecycle{Hook: "prestart"}, "images"
	secretive(maker)
	source.TaskGroups[0].Tasks = append(source.TaskGroups[0].Tasks, maker)
	job, m, err := makeTwin(t, source)
	must.NoError(t, err)
	must.Eq(t, "${NOMAD_ALLOC_DIR}/data/root.qcow2", m.Image)
	must.Eq(t, []string{"oakum-prepare", "vm", "disk", "oakum-ask"}, taskNames(job))
	must.Eq(t, slices.Concat([]string{"prepare", twinMonitor, qemu.Folder, "root", "${NOMAD_ALLOC_DIR}"}, firmware(),
		[]string{"await", qemu.Folder + "/oakum-made-0", "disk", "oakum-twin.qcow2", "qcow2", "${NOMAD_ALLOC_DIR}/data/root.qcow2"}),
		words(job.TaskGroups[0].Tasks[0]))
	kept := job.TaskGroups[0].Tasks[2]
	must.Eq(t, []string{"maker", qemu.Folder + "/oakum-made-0", "qemu-img", "create", "-b", "/images/store-1.0.qcow2", "${NOMAD_ALLOC_DIR}/data/root.qcow2"}, words(kept))
	must.Eq(t, "images", kept.User) // who may do less than Nomad's own user
	noSecrets(t, job)

	_, _, err = makeTwin(t, source, api.Apply{Kind: api.ApplyJob, Task: "disk", Config: map[string]any{"command": "rm"}})
	must.ErrorContains(t, err, `the patch changes task "disk", which runs on the host`)
	maker.Driver = "java"
	_, _, err = makeTwin(t, source)
	must.ErrorContains(t, err, `task "disk" makes the machine's disk with driver java`)
}

// TestTwinJob_LeavesOtherTasksOut: a task before the machine is production's own
// code, and goes along only where it makes the disk.
func TestTwinJob_LeavesOtherTasksOut(t *testing.T) {
	source := production()
	before := nomadapi.NewTask("migrate", "raw_exec").SetConfig("command", "migrate")
	before.Lifecycle = &nomadapi.TaskLifecycle{Hook: "prestart"}
	source.TaskGroups[0].Tasks = append(source.TaskGroups[0].Tasks, before)
	job, _, err := makeTwin(t, source)
	must.NoError(t, err)
	must.Eq(t, []string{"oakum-prepare", "vm", "oakum-ask"}, taskNames(job))
}

// TestTwinJob_ImageFromAnArtifact: it is fetched into the folder of the task that
// checks it.
func TestTwinJob_ImageFromAnArtifact(t *testing.T) {
	source := production()
	vm := source.TaskGroups[0].Tasks[1]
	vm.Config["image_path"], vm.Meta["version"] = "local/disk.qcow2", "1.0"
	job, m, err := makeTwin(t, source)
	must.NoError(t, err)
	must.Eq(t, "local/disk.qcow2", m.Image)
	prepare := job.TaskGroups[0].Tasks[0]
	must.Eq(t, slices.Concat([]string{"prepare", twinMonitor, qemu.Folder, "root", "."}, firmware(),
		[]string{"disk", "oakum-twin.qcow2", "qcow2", "local/disk.qcow2"}), words(prepare))
	must.Len(t, 1, prepare.Artifacts)
	must.Eq(t, "https://mirror.example/1.0/disk.qcow2", *prepare.Artifacts[0].GetterSource)
	must.Eq(t, map[string]string{"checksum": "sha256:0a"}, prepare.Artifacts[0].GetterOptions)
	must.Nil(t, job.TaskGroups[0].Tasks[1].Artifacts)
	noSecrets(t, job)

	vm.Artifacts = nil
	_, _, err = makeTwin(t, source)
	must.ErrorContains(t, err, "nothing that may go along with a twin makes local/disk.qcow2")
}

func TestTwinJob_RefusesMachinesThatCantBeCutOff(t *testing.T) {
	cases := map[string]struct {
		key   string
		value any
		want  string
	}{
		"argument":      {"args", []string{"-no-reboot", "-virtfs", "local,path=/"}, `task "vm", args[1]: -virtfs: it is not allowed in a twin`},
		"port map":      {"port_map", []map[string]any{{"http": 80}}, `task "vm", port_map: it makes a network that is not restricted`},
		"emulator":      {"emulator", "x86_64/../../../bin/sh", `task "vm", emulator: "x86_64/../../../bin/sh" is not allowed in a twin`},
		"accelerator":   {"accelerator", "tcg,kernel=/etc/shadow", `task "vm", accelerator: "tcg,kernel=/etc/shadow" is not allowed`},
		"machine":       {"machine_type", "pc,firmware=/etc/shadow", `task "vm", machine_type: property "firmware" is not allowed in a twin (allowed: accel, acpi,`},
		"interface":     {"drive_interface", "pflash", `task "vm", drive_interface: "pflash" is not allowed in a twin (allowed: ide|scsi|virtio|none)`},
		"unknown field": {"monitor", "tcp:0:1", `task "vm", monitor: it is not allowed in a twin`},
		"secrets":       {"image_path", "${NOMAD_SECRETS_DIR}/a.qcow2", `task "vm", image_path: variable ${NOMAD_SECRETS_DIR} is not allowed`},
		"protocol":      {"image_path", "nbd:10.0.0.1:10809.qcow2", `it is no path, but a protocol`},
		"no image":      {"image_path", "", `task "vm", image_path: "" is not allowed in a twin: it is empty`},
		"other format":  {"image_path", "/images/store.vmdk", `the format of /images/store.vmdk is not declared; set meta oakum_image_format to raw or qcow2`},
		"no folder":     {"image_path", "${meta.images}/store.qcow2", `lies in no folder that images may come from; set simulator.image_roots`},
		"top folder":    {"image_path", "/store.qcow2", `lies in no folder that images may come from; set simulator.image_roots`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			source := production()
			source.TaskGroups[0].Tasks[1].Config[c.key] = c.value
			_, _, err := makeTwin(t, source)
			must.ErrorContains(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
}

func TestTwinJob_KeepsTheMachine(t *testing.T) {
	source := production()
	config := source.TaskGroups[0].Tasks[1].Config
	config["emulator"], config["machine_type"], config["guest_agent"], config["graceful_shutdown"] = "x86_64", "q35,smm=on,accel=kvm", true, true
	config["drive_interface"], config["image_path"] = "none", "/images/store"
	source.TaskGroups[0].Meta["oakum_image_format"] = "raw"
	job, _, err := makeTwin(t, source)
	must.NoError(t, err)
	got := job.TaskGroups[0].Tasks[1].Config
	delete(got, "args")
	must.Eq(t, map[string]any{
		"emulator": "x86_64", "machine_type": "q35,smm=on", "guest_agent": true, "drive_interface": "none", "image_path": qemu.Folder + "/oakum-twin.qcow2",
	}, got)
	must.SliceContains(t, words(job.TaskGroups[0].Tasks[0]), "raw")
}

func TestTwinJob_TakesTheFormatOfTheNameFirst(t *testing.T) {
	source := production() // of a raw image, which a bake has made a qcow2
	source.TaskGroups[0].Meta[qemu.FormatMeta] = qemu.FormatRaw
	source.TaskGroups[0].Tasks[1].Config["image_path"] = "/images/store+1.qcow2"
	job, _, err := makeTwin(t, source)
	must.NoError(t, err)
	must.SliceNotContains(t, words(job.TaskGroups[0].Tasks[0]), qemu.FormatRaw)
}

func TestTwinJob_RunsWhereTwinsBelong(t *testing.T) {
	source := production()
	source.NodePool = new("prod")
	source.TaskGroups[0].Constraints = []*nomadapi.Constraint{{LTarget: "${attr.vault.version}", RTarget: ">= 0.6.1", Operand: "semver"}, {LTarget: "${attr.kernel.name}", RTarget: "linux", Operand: "="}}
	cases := map[string]struct {
		spec    twin.Spec
		pool    string
		classes []string
	}{
		"as production": {twin.Spec{}, "prod", []string{"vm"}},
		"pool":          {twin.Spec{Pool: "sandbox"}, "sandbox", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			job, _, err := makeTwinIn(t, source, c.spec)
			must.NoError(t, err)
			must.Eq(t, c.pool, *job.NodePool)
			var classes []string
			for _, constraint := range job.Constraints {
				if constraint.LTarget == "${node.class}" {
					classes = append(classes, constraint.RTarget)
				}
			}
			must.Eq(t, c.classes, classes)
			must.Len(t, 1, job.TaskGroups[0].Constraints) // a twin needs no Vault
		})
	}
}

func TestDefaultRoots(t *testing.T) {
	for image, want := range map[string][]string{
		"/images/a.qcow2":                   {"/images"},
		"/srv/images/${NOMAD_META_image}":   {"/srv/images"},
		"/srv/images-${node.class}/a.qcow2": {"/srv"},
		"/a.qcow2":                          nil,
		"local/a.qcow2":                     nil,
		"${NOMAD_ALLOC_DIR}/data/a.qcow2":   nil,
		"/images/../../etc/a.qcow2":         {"/etc"},
	} {
		must.Eq(t, want, defaultRoots(image), must.Sprint(image))
	}
}

func taskNames(job *nomadapi.Job) []string {
	var names []string
	for _, task := range job.TaskGroups[0].Tasks {
		names = append(names, task.Name)
	}
	return names
}

func TestTwinJob_WhichMachine(t *testing.T) {
	two := production()
	second := *two.TaskGroups[0].Tasks[1]
	second.Name = "second"
	two.TaskGroups[0].Tasks = append(two.TaskGroups[0].Tasks, &second)
	_, err := twinTask(two.TaskGroups[0], "")
	must.ErrorContains(t, err, "has several QEMU tasks")
	found, err := twinTask(two.TaskGroups[0], "second")
	must.NoError(t, err)
	must.Eq(t, "second", found.Name)
	_, err = twinTask(two.TaskGroups[0], "proxy")
	must.ErrorContains(t, err, "is no QEMU task")
}

func TestReach_WithoutAServiceIsTheBarePort(t *testing.T) {
	source := production()
	source.TaskGroups[0].Services = nil
	_, m, err := makeTwin(t, source)
	must.NoError(t, err)
	must.Eq(t, "http", m.Port)
	must.Eq(t, "", m.Scheme+m.Path+m.Host)
}

func TestReach_TakesTheCheckThatSaysMost(t *testing.T) {
	check := func(kind string, tls bool) nomadapi.ServiceCheck {
		return nomadapi.ServiceCheck{Type: kind, Path: "/health", Protocol: "https", GRPCService: "shop.Store", GRPCUseTLS: tls}
	}
	for name, c := range map[string]struct {
		checks       []nomadapi.ServiceCheck
		scheme, path string
	}{
		"tcp alone":          {[]nomadapi.ServiceCheck{check("tcp", false)}, "", ""},
		"gRPC over tcp":      {[]nomadapi.ServiceCheck{check("tcp", false), check("grpc", false)}, twin.SchemeGRPC, "shop.Store"},
		"gRPC with TLS":      {[]nomadapi.ServiceCheck{check("grpc", true)}, twin.SchemeGRPCS, "shop.Store"},
		"HTTP over gRPC":     {[]nomadapi.ServiceCheck{check("http", false), check("grpc", false)}, "https", "/health"},
		"a script says none": {[]nomadapi.ServiceCheck{check("script", false)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			source := production()
			source.TaskGroups[0].Services = []*nomadapi.Service{{Name: "store", PortLabel: "http", Checks: c.checks}}
			_, m, err := makeTwin(t, source)
			must.NoError(t, err)
			must.Eq(t, c.scheme, m.Scheme)
			must.Eq(t, c.path, m.Path)
		})
	}
}

func TestTwinState_KnowsTheReservation(t *testing.T) {
	alloc := &nomadapi.Allocation{AllocatedResources: &nomadapi.AllocatedResources{
		Tasks: map[string]*nomadapi.AllocatedTaskResources{"vm": {Memory: nomadapi.AllocatedMemoryResources{MemoryMB: 128, MemoryMaxMB: 400}}},
	}}
	s := twinState(twin.Machine{Task: "vm"}, alloc, &nomadapi.AllocationListStub{})
	must.Eq(t, 128<<20, s.MemoryReserved)
	must.Eq(t, 400<<20, s.MemoryMax)
	must.Eq(t, 0, twinState(twin.Machine{Task: "other"}, alloc, &nomadapi.AllocationListStub{}).MemoryMax)
}
