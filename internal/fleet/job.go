package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// JobID names a job.
type JobID struct{ Namespace, ID string }

// String is namespace/ID.
func (id JobID) String() string { return id.Namespace + "/" + id.ID }

// Compare orders jobs by namespace and ID.
func (id JobID) Compare(o JobID) int {
	return cmp.Or(cmp.Compare(id.Namespace, o.Namespace), cmp.Compare(id.ID, o.ID))
}

// Types of jobs.
const (
	TypeService  = "service"
	TypeBatch    = "batch"
	TypeSystem   = "system"
	TypeSysBatch = "sysbatch"
)

// Job is one version of a job. The fields below Groups are Nomad's: they are set
// when it is registered, and ignored in what is given to Register.
type Job struct {
	JobID
	Type        string            `json:",omitempty"` // service when empty
	Launch      api.Launch        `json:",omitempty"` // of a job that has runs: the scheduler places nothing for it
	Priority    int               `json:",omitempty"` // 50 when 0
	Datacenters []string          `json:",omitempty"` // all when empty; * matches any letters
	NodePool    string            `json:",omitempty"` // default when empty
	Meta        map[string]string `json:",omitempty"`
	Constraints []Constraint      `json:",omitempty"`
	Groups      []Group
	// Text is the job as it came over the wire, kept as it is. Counts, and what
	// Nomad stamps, are those of the other fields.
	Text []byte `json:"-"`
	// Submission is what the version was made of, as it came over the wire; nil when it
	// came without.
	Submission []byte `json:"-"`

	Stopped     bool      `json:"-"`
	Version     uint64    `json:"-"`
	CreateIndex uint64    `json:"-"`
	ModifyIndex uint64    `json:"-"` // of the latest registration: Nomad's JobModifyIndex
	StatusIndex uint64    `json:"-"` // of any change: Nomad's ModifyIndex
	Stable      bool      `json:"-"` // its deployment was successful
	Tag         Tag       `json:"-"` // of this version; no name means none
	SubmittedAt time.Time `json:"-"`
	digest      string    // of Digest, once asked for
}

// Tag marks a version of a job, which is then kept.
type Tag struct {
	Name, Description string
	At                time.Time
}

// Group is a task group. Spec is Nomad's side: two groups of equal Spec run the
// same, so that an instance of one becomes one of the other in place.
type Group struct {
	Name        string
	Count       int
	Update      *Update           `json:",omitempty"` // nil means that instances are replaced all at once and without a deployment
	Meta        map[string]string `json:",omitempty"`
	Constraints []Constraint      `json:",omitempty"`
	Ports       []string          `json:",omitempty"` // labels of dynamic ports
	Volumes     []string          `json:",omitempty"` // as csi/NAME or host/NAME
	Services    []Service         `json:",omitempty"` // a change of these replaces no instance
	Tasks       []Task
	Restart     *Restart    `json:",omitempty"` // nil means Nomad's default for the type
	Reschedule  *Reschedule `json:",omitempty"` // nil means Nomad's default for the type
	Migrate     int         `json:",omitempty"` // instances that a drain moves at once; 1 when 0
	// Other is a digest of whatever else the caller knows of the group and
	// replaces its instances when it changes.
	Other string `json:",omitempty"`
	Spec  string `json:"-"`
}

// Update is an update block. HealthCheck is checks when empty.
type Update struct {
	Stagger          time.Duration
	MaxParallel      int
	HealthCheck      string // checks, task_states or manual
	MinHealthyTime   time.Duration
	HealthyDeadline  time.Duration
	ProgressDeadline time.Duration // 0 means none: the first unhealthy instance ends the deployment
	Canary           int
	AutoRevert       bool
	AutoPromote      bool
}

// Values of Update.HealthCheck.
const (
	HealthChecks     = "checks"
	HealthTaskStates = "task_states"
	HealthManual     = "manual"
)

// Restart says how often a client starts a task again before its allocation has
// failed.
type Restart struct {
	Attempts        int
	Interval, Delay time.Duration
}

// Reschedule says how often the scheduler replaces a failed allocation. The
// delay doubles each time, up to MaxDelay.
type Reschedule struct {
	Attempts        int // ignored when Unlimited
	Unlimited       bool
	Delay, MaxDelay time.Duration
}

// Constraint limits the nodes of a job or a group.
type Constraint struct{ Left, Operand, Right string }

// ProviderNomad is the provider of services in Nomad's own catalog.
const ProviderNomad = "nomad"

// Service is what a group registers with Consul, or with Nomad.
type Service struct {
	Name      string
	Provider  string            `json:",omitempty"` // consul when empty, or ProviderNomad
	Port      string            `json:",omitempty"` // label
	Checked   bool              `json:",omitempty"` // it has health checks
	Connect   bool              `json:",omitempty"` // it has a sidecar in the mesh
	Upstreams []string          `json:",omitempty"` // of its sidecar
	Tags      []string          `json:",omitempty"`
	Meta      map[string]string `json:",omitempty"`
}

// Task is one task of a group. Lifecycle is as in api.Task.
type Task struct {
	Name      string
	Driver    string
	Lifecycle string            `json:",omitempty"`
	Config    map[string]any    `json:",omitempty"` // of the driver
	Env       map[string]string `json:",omitempty"`
	CPU       int               `json:",omitempty"` // MHz; 100 when 0
	MemoryMB  int               `json:",omitempty"` // 300 when 0
}

// Image is the disk or container image that the task runs, if its driver has one.
func (t Task) Image() string {
	for _, key := range []string{"image_path", "image"} {
		if text, ok := t.Config[key].(string); ok {
			return text
		}
	}
	return ""
}

// Group finds a group by name; nil when there is none.
func (j *Job) Group(name string) *Group {
	for i := range j.Groups {
		if j.Groups[i].Name == name {
			return &j.Groups[i]
		}
	}
	return nil
}

// Copy returns a job whose groups may be changed.
func (j *Job) Copy() *Job {
	out := *j
	out.digest, out.Groups = "", slices.Clone(j.Groups)
	return &out
}

// Digest identifies what the job runs: everything that was registered but the
// update blocks, in hex.
func (j *Job) Digest() string {
	if j.digest == "" {
		bare := *j
		bare.Groups = slices.Clone(j.Groups)
		for i := range bare.Groups {
			bare.Groups[i].Update, bare.Groups[i].Count = nil, 0
		}
		j.digest = digestOf(bare)
	}
	return j.digest
}

// digestOf is the hex digest of a value of this package's own types.
func digestOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		text = fmt.Appendf(nil, "%+v", v) // a driver's configuration that JSON does not know
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// specOf identifies what replaces an instance of the group when it changes.
func specOf(j *Job, g *Group) string {
	return digestOf([]any{j.Meta, g.Meta, g.Ports, g.Volumes, g.Tasks, g.Other})
}

// size is what one instance of the group takes of a node.
func (g *Group) size() (cpu, memoryMB int) {
	for i := range g.Tasks {
		cpu += cmp.Or(g.Tasks[i].CPU, 100)
		memoryMB += cmp.Or(g.Tasks[i].MemoryMB, 300)
	}
	return cpu, memoryMB
}

// checked reports whether Nomad waits for a service's checks before it calls an
// instance healthy.
func (g *Group) checked() bool {
	return slices.ContainsFunc(g.Services, func(s Service) bool { return s.Checked })
}

// NativelyChecked reports whether Nomad makes checks of the group's services itself.
func (g *Group) NativelyChecked() bool {
	return slices.ContainsFunc(g.Services, func(s Service) bool { return s.Checked && s.Provider == ProviderNomad })
}

// restart is the policy in force.
func (g *Group) restart(kind string) Restart {
	switch {
	case g.Restart != nil:
		return *g.Restart
	case kind == TypeBatch || kind == TypeSysBatch:
		return Restart{Attempts: 3, Interval: 24 * time.Hour, Delay: 15 * time.Second}
	}
	return Restart{Attempts: 2, Interval: 30 * time.Minute, Delay: 15 * time.Second}
}

// reschedule is the policy in force.
func (g *Group) reschedule(kind string) Reschedule {
	switch {
	case g.Reschedule != nil:
		return *g.Reschedule
	case kind == TypeService:
		return Reschedule{Unlimited: true, Delay: 30 * time.Second, MaxDelay: time.Hour}
	case kind == TypeBatch:
		return Reschedule{Attempts: 1, Delay: 5 * time.Second, MaxDelay: 5 * time.Second}
	}
	return Reschedule{}
}

// deploys reports whether changes of the group go through a deployment.
func (g *Group) deploys(kind string) bool {
	return kind == TypeService && g.Update != nil && g.Update.MaxParallel > 0
}

// complete fills what Nomad fills, and says what it would refuse.
func (j *Job) complete() error {
	j.Type, j.Priority, j.NodePool = cmp.Or(j.Type, TypeService), cmp.Or(j.Priority, 50), cmp.Or(j.NodePool, "default")
	j.Namespace = cmp.Or(j.Namespace, "default")
	if j.ID == "" || len(j.Groups) == 0 {
		return api.Errorf(api.CodeInvalid, "job %q: missing job ID or task groups", j.ID)
	}
	if !slices.Contains([]string{TypeService, TypeBatch, TypeSystem, TypeSysBatch}, j.Type) {
		return api.Errorf(api.CodeInvalid, "job %s: invalid job type: %q", j.ID, j.Type)
	}
	names := map[string]bool{}
	for i := range j.Groups {
		g := &j.Groups[i]
		if g.Name == "" || names[g.Name] {
			return api.Errorf(api.CodeInvalid, "job %s: group %d is unnamed or redefines %q", j.ID, i+1, g.Name)
		}
		names[g.Name] = true
		if g.Count < 0 || len(g.Tasks) == 0 {
			return api.Errorf(api.CodeInvalid, "group %s: count %d, %d tasks", g.Name, g.Count, len(g.Tasks))
		}
		if j.Type == TypeSystem && g.Count > 1 {
			return api.Errorf(api.CodeInvalid, "Job task group %s has count %d. Count cannot exceed 1 with system scheduler", g.Name, g.Count)
		}
		for _, c := range slices.Concat(j.Constraints, g.Constraints) {
			if err := c.check(); err != nil {
				return api.Errorf(api.CodeInvalid, "group %s: %v", g.Name, err)
			}
		}
		g.Spec = specOf(j, g)
	}
	return nil
}
