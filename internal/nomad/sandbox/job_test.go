package sandbox

import (
	"encoding/json"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
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
	vm.Vault = &nomadapi.Vault{Policies: []string{"store"}}
	vm.KillTimeout = new(time.Minute)
	proxy := nomadapi.NewTask("proxy", "raw_exec").SetConfig("command", "consul")
	group.Tasks = []*nomadapi.Task{proxy, vm}
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	return job
}

// make builds the twin as StartTwin does.
func makeTwin(t *testing.T, job *nomadapi.Job, changes ...api.Apply) (*nomadapi.Job, twin.Machine, error) {
	t.Helper()
	next, err := nomad.Patched(job, "store", changes)
	must.NoError(t, err)
	return twinJob(next, twin.Spec{
		Job: "oakum-twin-s-1-treatment", Target: api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}, Task: "vm", Node: "n1",
	})
}

func TestTwinJob_LeavesNothingOfProduction(t *testing.T) {
	job, m, err := makeTwin(t, production(), api.Apply{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2"})
	must.NoError(t, err)
	must.Eq(t, twin.Machine{
		Namespace: "prod", Job: "oakum-twin-s-1-treatment", Image: "/images/store-1.1.qcow2", Task: "vm",
		Port: "http", Host: "127.0.0.1", Scheme: "https", Path: "/health", Monitored: true,
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

	must.Len(t, 3, group.Tasks)
	prepare, vm, ask := group.Tasks[0], group.Tasks[1], group.Tasks[2]
	must.Eq(t, "raw_exec", prepare.Driver)
	must.Eq(t, "prestart", prepare.Lifecycle.Hook)
	must.SliceContains(t, prepare.Config["args"].([]string), "/images/store-1.1.qcow2")
	must.Eq(t, any("${NOMAD_ALLOC_DIR}/data/oakum-twin.qcow2"), vm.Config["image_path"])
	must.Eq(t, []string{
		"-no-reboot",
		"-netdev", "user,restrict=on,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080",
		"-device", "virtio-net-pci,netdev=n0",
		"-qmp", "pipe:${NOMAD_ALLOC_DIR}/data/oakum-qmp",
	}, vm.Config["args"].([]string))
	must.Eq(t, "poststart", ask.Lifecycle.Hook)
	must.Eq(t, "delay", *ask.RestartPolicy.Mode) // a task that fails takes its machine with it
	must.Nil(t, vm.Vault)
	must.Nil(t, vm.VolumeMounts)
	must.Eq(t, 0, *vm.RestartPolicy.Attempts)
	must.Eq(t, time.Second, *vm.KillTimeout)
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

func TestTwinJob_JobPatchOnAMachine(t *testing.T) {
	job, m, err := makeTwin(t, production(), api.Apply{Kind: api.ApplyJob, Task: "vm", Config: map[string]any{"accelerator": "kvm"}, Env: map[string]string{"A": "b"}})
	must.NoError(t, err)
	must.Eq(t, "/images/store-1.0.qcow2", m.Image)
	must.Eq(t, any("kvm"), job.TaskGroups[0].Tasks[1].Config["accelerator"])
	must.Eq(t, "b", job.TaskGroups[0].Tasks[1].Env["A"])
}

func TestTwinJob_KeepsTheTasksThatMakeItsDisk(t *testing.T) {
	source := production()
	vm := source.TaskGroups[0].Tasks[1]
	vm.Config["image_path"] = "${NOMAD_ALLOC_DIR}/data/root.qcow2"
	disk := nomadapi.NewTask("disk", "raw_exec").SetConfig("command", "qemu-img")
	disk.Lifecycle = &nomadapi.TaskLifecycle{Hook: "prestart"}
	source.TaskGroups[0].Tasks = append(source.TaskGroups[0].Tasks, disk)
	job, m, err := makeTwin(t, source)
	must.NoError(t, err)
	must.Eq(t, "", m.Image) // nobody can say what is in it
	must.Eq(t, []string{"oakum-prepare", "vm", "disk", "oakum-ask"}, taskNames(job))
	must.Eq(t, any("${NOMAD_ALLOC_DIR}/data/root.qcow2"), job.TaskGroups[0].Tasks[1].Config["image_path"])
	must.SliceNotContains(t, job.TaskGroups[0].Tasks[0].Config["args"].([]string), "${NOMAD_ALLOC_DIR}/data/root.qcow2")
}

func taskNames(job *nomadapi.Job) []string {
	var names []string
	for _, task := range job.TaskGroups[0].Tasks {
		names = append(names, task.Name)
	}
	return names
}

func TestTwinJob_RefusesMachinesThatCantBeCutOff(t *testing.T) {
	forward := []string{"-netdev", "user,id=n0,hostfwd=tcp::${NOMAD_PORT_http}-:80"}
	cases := map[string]struct {
		args []string
		want string
	}{
		"bridge":        {[]string{"-netdev", "bridge,id=n1"}, "argument -netdev bridge,id=n1 joins a network"},
		"tap":           {[]string{"-nic", "tap,ifname=t0"}, "joins a network"},
		"door":          {[]string{"-nic", "user,guestfwd=tcp:10.0.2.100:80-cmd:nc"}, "opens a door to the host"},
		"disk":          {[]string{"-drive", "file=/data/prod.raw,if=virtio"}, "writes to a disk that is not the twin's"},
		"hdb":           {[]string{"-hdb", "/data/prod.raw"}, "writes to a disk that is not the twin's"},
		"folder":        {[]string{"-virtfs", "local,path=/data,mount_tag=d"}, "shares a folder of the host"},
		"serial":        {[]string{"-serial", "tcp:127.0.0.1:4444"}, "opens a door to the host"},
		"device":        {[]string{"-device", "vfio-pci,host=01:00.0"}, "takes a device of the host"},
		"other machine": {[]string{"-incoming", "tcp:0:4444"}, "takes over the state of another machine"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, err := makeTwin(t, production(append(c.args, forward...)...))
			must.ErrorContains(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
	t.Run("no port", func(t *testing.T) {
		_, _, err := makeTwin(t, production("-no-reboot"))
		must.ErrorContains(t, err, "a twin could not be reached")
	})
	t.Run("read-only disks stay", func(t *testing.T) {
		job, _, err := makeTwin(t, production(append([]string{"-drive", "file=/seed.iso,readonly=on", "-serial", "stdio", "-nic", "none"}, forward...)...))
		must.NoError(t, err)
		must.SliceContains(t, job.TaskGroups[0].Tasks[1].Config["args"].([]string), "file=/seed.iso,readonly=on")
	})
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

func TestRestrict(t *testing.T) {
	must.Eq(t, "user,restrict=on,id=n0", restrict("user,id=n0,restrict=off"))
	must.Eq(t, "user,restrict=on", restrict("user"))
}
