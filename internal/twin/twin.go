// Package twin holds the values that the simulator and the sandbox of package
// nomad exchange. It does nothing by itself.
package twin

import (
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Prefix begins the job ID of every twin.
const Prefix = "oakum-twin-"

// How jobs that leaders have left in Nomad are removed.
const (
	// SweepEvery is the pause between two passes.
	SweepEvery = 30 * time.Second
	// LatePasses is how many passes after the first one a job is removed once more and leaves
	// the record. A registration that a former leader sent may reach Nomad after the first
	// removal: for two minutes, as package orchestrator holds too.
	LatePasses = 4
	// RemoveMax bounds the removal of one object in one pass.
	RemoveMax = time.Minute
)

// Roles of twins. Reverted is the former version on the data that a treatment left; its
// job is the treatment's.
const (
	Control   = "control"
	Treatment = "treatment"
	Reverted  = "revert"
)

// JobID names the job of a twin by the simulation, its run, and the role. Each run
// has names of its own, so that no run removes the machines of another.
func JobID(simulation, run, role string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' {
			return '-'
		}
		return r
	}, simulation)
	return Prefix + clean + "-" + run + "-" + role
}

// Role returns the role that a job of the sandbox has, in the form that JobID gives it.
func Role(job string) string { return job[strings.LastIndexByte(job, '-')+1:] }

// Spec asks for one twin: the target's virtual machine in a job of its own,
// with a disk of its own, cut off from the network, the mesh and every volume.
type Spec struct {
	Job    string // ID
	Pair   int    // number of its pair, from 1; 0 when there is only one
	Target api.TargetRef
	Task   string      // the QEMU task; empty for the only one
	Apply  []api.Apply // nil for the control
	Node   string      // ID of the node to run on; empty for any
	Avoid  []string    // IDs of nodes not to run on; sorted
	Pool   string      // node pool to run in; empty for the target's own
	Expect uint64      // job modify index that the target must still have; 0 for any
	// Unmonitored leaves out QEMU's monitor, its captures and its system call filter,
	// since a node may refuse their arguments. The work of the disk and what the machine
	// tries to reach are then unknown.
	Unmonitored bool
	// Former is the ID of the allocation of this job that the twin replaces, on the same
	// node, over the data that it left. Empty for a twin of its own.
	Former string
	// EmptyData has the twin get empty disks for production's data disks.
	EmptyData bool
	// Env are values of variables that the machine's arguments take, in the place of those
	// that the target's task sets.
	Env map[string]string
	// Commands are what the machine can be asked to run by its guest agent. They run in
	// one order, when they are asked for.
	Commands []string
	// Group asks for a twin of tasks that are no virtual machine; nil for a machine.
	Group *Group
}

// Machine is a registered twin, and the address at which it is asked.
type Machine struct {
	Namespace string
	Job       string
	Image     string // the disk that its own one is laid over, as the job names it
	Task      string
	Port      string // label of the group's port
	Host      string // to reach the port at, when not the allocation's own
	Scheme    string // http, https, grpc or grpcs; empty for a bare TCP port
	Path      string // of the health check; with gRPC the name of the service
	Monitored bool   // QEMU counts what it does to its disk
	Captures  int    // files in which QEMU keeps what the machine sends: one for each of its networks
	// Agent says that the machine has a serial port for a guest agent; whether it has an agent
	// is not known.
	Agent bool
	// Load is the task that asks the twin from inside. It is empty for a machine, which
	// is asked at its port.
	Load string
	// Program is the task of the operator's load program. It is empty without one.
	Program string
	// Stubs is the task that answers for what the group calls. It is empty without any.
	Stubs string
	Env   []string // names in Spec.Env that the machine's arguments take; sorted
	Lacks []string // what the twin goes without, in words

	// Data is what production keeps when an instance is replaced, and what a twin with
	// Spec.Former takes over, in words. Uncarried is what production keeps and no twin
	// can take over, each with the reason.
	Data, Uncarried []string
	Former          string // Spec.Former
}

// Schemes of machines whose health is asked for by gRPC (grpc.health.v1).
const (
	SchemeGRPC  = "grpc"
	SchemeGRPCS = "grpcs"
)

// Phase is how far a machine is.
type Phase string

// Phases of a machine. Unplaced means that no node has room.
const (
	Unplaced Phase = "unplaced"
	Pending  Phase = "pending"
	Running  Phase = "running"
	Dead     Phase = "dead"
)

// State is the state of a machine in Nomad.
type State struct {
	Phase    Phase
	Why      string // of a phase other than running
	Alloc    string
	Node     string   // ID
	Address  string   // host:port
	Digest   string   // hex SHA-256 of the image, once its node has computed it
	Lacks    []string // what its node could not give it, in words; once it runs
	Started  time.Time
	Restarts int
	// MemoryReserved and MemoryMax are the memory and memory_max of the machine's task,
	// in bytes; 0 when there is none.
	MemoryReserved float64
	MemoryMax      float64

	Usage    Usage
	Blocks   Blocks
	NoBlocks string // why Blocks is not known now
	// Refused says that it is dead because of an argument that Spec.Unmonitored
	// leaves out.
	Refused bool
}

// Usage is what the virtual machine uses, without the other tasks of its
// allocation.
type Usage struct {
	At       time.Time // when its node measured it; zero before it has
	CPUCores float64
	Memory   float64 // bytes
}

// Blocks is the work of the machine's disk since the machine started, as the guest
// asked for it. Reads that the host's cache answers count. Flushes and discards do
// not.
type Blocks struct {
	At         time.Duration // when QEMU was asked, since its node booted; zero before it answered
	Operations uint64        // reads and writes
	Bytes      uint64        // read and written
}

// BakeSpec asks for a copy of a machine's image in which a patch's scripts have run.
type BakeSpec struct {
	Job    string // ID of the job that does it
	Target api.TargetRef
	Task   string
	Node   string // ID of the node to work on
	Pool   string // node pool of that node; empty for the one of the target's job
	Image  string // the one to copy; a plain path
	// Source is the URL that Nomad fetches the image from, by its SHA-256, Digest; Image
	// is then below the folder of the job's task. Empty for a file of the node.
	Source, Digest string
	Steps          []Step // run one after the other; the first one that fails ends the whole
	// Packages are names of packages whose versions are read from the image, before
	// and after the patch.
	Packages []string
	// RPMFormat is how rpm prints a package of Image.Databases. Empty asks for no databases.
	RPMFormat string
	// Result is the path of the image that is made. While it is being made, it may stand
	// beside that path with the suffix PartSuffix. Empty keeps nothing: the image is only
	// looked into.
	Result string
	// Hash asks for the digest of an image of the node that is only looked into.
	Hash bool
}

// ReadSpec asks what is installed in the image that a task of a target runs.
type ReadSpec struct {
	Job    string // ID of the job that reads it
	Target api.TargetRef
	Task   string
	// Alike are all tasks whose jobs name the image so, Task among them.
	Alike []TaskRef
	// RPMFormat is how rpm prints a package of Image.Databases.
	RPMFormat string
}

// TaskRef names a task of a target.
type TaskRef struct {
	Target api.TargetRef
	Task   string
}

// DifferError says that an image of one name is not the same in all that run it.
type DifferError struct {
	Runs string // how many run what
}

// Error says how many run what.
func (e *DifferError) Error() string { return "those that run it differ: " + e.Runs }

// NodesNamespace is where the jobs are that read what is installed on client nodes.
const NodesNamespace = "default"

// NodesSpec asks what is installed on client nodes.
type NodesSpec struct {
	Job       string   // ID of the job that reads it
	Nodes     []string // IDs
	RPMFormat string   // how rpm prints a package
}

// NodePackages is what a node has told, or why it has not.
type NodePackages struct {
	Databases map[string]string // as of an Image
	Err       error
}

// Step is one script of a patch. All scripts run before the first Verify does.
type Step struct {
	Script   string // any bytes; run by /bin/sh of the image, in its root, without a network
	Payloads []api.Payload
	Verify   []api.Verify
}

// PartSuffix ends the path of an image that is not whole yet.
const PartSuffix = ".part"

// BakedPath is the path of what a run makes of an image: beside it, so that it is
// on the same file system, and with the run in its name, so that it is known before
// it exists and no other run makes it. What an earlier run added to the name goes.
func BakedPath(image, run string) string {
	stem := strings.TrimSuffix(image, ".qcow2")
	if i := strings.LastIndexByte(stem, '+'); i > strings.LastIndexByte(stem, '/') {
		stem = stem[:i]
	}
	return stem + "+" + run + ".qcow2"
}

// Exit is how a command has ended that was run in a twin's machine.
type Exit struct {
	Status int
	Output string // the end of both its streams, at most 4 KiB
}

// Image is a baked image.
type Image struct {
	Path   string // the BakeSpec's Result
	Digest string // hex SHA-256; of an image that was only looked into, where BakeSpec.Hash asks for it
	Node   string // ID of the node that made it

	Before map[string]string // versions of BakeSpec.Packages before the patch; only what was installed
	After  map[string]string // the same after the patch
	// Databases are the texts in which the patched image says what is installed: "system"
	// (its os-release), "dpkg", "apk", "rpm" and "go". One that could not be told whole is empty.
	Databases map[string]string
	Kernel    string      // version of the newest kernel in /boot; empty when there is none
	Proofs    []api.Proof // of every Verify, in their order
}
