package api

import (
	"cmp"
	"strings"
	"time"
)

// TargetRef names a target: a Nomad task group.
type TargetRef struct {
	Namespace string `json:"namespace"`
	Job       string `json:"job"`
	Group     string `json:"group"`
}

// String is namespace/job/group.
func (r TargetRef) String() string { return r.Namespace + "/" + r.Job + "/" + r.Group }

// Compare orders references by namespace, job and group.
func (r TargetRef) Compare(o TargetRef) int {
	return cmp.Or(cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Job, o.Job), cmp.Compare(r.Group, o.Group))
}

// ParseTargetRef reads namespace/job/group; job/group means namespace default, and a bare
// job means its group of the same name in namespace default. A job may have slashes in its
// name, groups and namespaces have none: of three parts or more, the first is the namespace
// and the last the group.
func ParseTargetRef(text string) (TargetRef, error) {
	var ref TargetRef
	first, last := strings.Index(text, "/"), strings.LastIndex(text, "/")
	switch {
	case first < 0:
		ref = TargetRef{Namespace: "default", Job: text, Group: text}
	case first == last:
		ref = TargetRef{Namespace: "default", Job: text[:first], Group: text[last+1:]}
	default:
		ref = TargetRef{Namespace: text[:first], Job: text[first+1 : last], Group: text[last+1:]}
	}
	if ref.Namespace == "" || ref.Job == "" || ref.Group == "" {
		return TargetRef{}, Errorf(CodeInvalid, "target %q: want namespace/job/group", text)
	}
	return ref, nil
}

// Target is a Nomad task group whose instances get patched, as Nomad has it now.
type Target struct {
	TargetRef
	Count          int               `json:"count"`
	Driver         string            `json:"driver"`            // "qemu" when any task runs under it, else the main task's
	Tasks          []Task            `json:"tasks"`             // in job order
	Services       []string          `json:"services"`          // sorted names that the group registers
	Checked        []string          `json:"checked,omitempty"` // the Services that have health checks in Consul
	Meta           map[string]string `json:"meta,omitempty"`
	JobVersion     uint64            `json:"job_version"`
	JobModifyIndex uint64            `json:"job_modify_index"`
	Type           string            `json:"type,omitempty"`   // Nomad's type of its job; empty for a service job
	Launch         Launch            `json:"launch,omitempty"` // how Nomad starts its runs; empty for a job that runs by itself
	Unfit          string            `json:"unfit,omitempty"`  // why no patch can change it; empty when one can
}

// Launch says how Nomad starts the runs of a job that has no instances of its own. A patch
// gives such a job its new definition for the next run, and touches no run under way.
type Launch string

// Launches. A periodic job runs by the clock, a parameterized one whenever it is dispatched.
const (
	LaunchPeriodic      Launch = "periodic"
	LaunchParameterized Launch = "parameterized"
)

// Task is one task of a target. Lifecycle is "" for a main task, else
// prestart, poststart or poststop, with "-sidecar" appended for a sidecar.
type Task struct {
	Name      string `json:"name"`
	Driver    string `json:"driver"`
	Lifecycle string `json:"lifecycle,omitempty"`
	Image     string `json:"image,omitempty"`  // image_path of a QEMU task, image of a container task
	Digest    string `json:"digest,omitempty"` // of what it runs, "sha256:" and 64 hex digits, where the job says it
}

// RunningVersion is what some instances of a target run: a version of its job.
type RunningVersion struct {
	JobVersion uint64
	Instances  int
	Tasks      []Task // as that version has them; nil when nobody knows
	Unknown    string // why nobody knows what they run; empty when it is known
}

// Health is the health of an instance by Nomad and Consul.
type Health string

// Health values. Pending is neither: not started, or its checks have not answered.
const (
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
	Pending   Health = "pending"
)

// Build says which form of the job an instance runs.
type Build string

// Builds. Foreign is neither: somebody else registered it.
const (
	BuildFormer  Build = "former"
	BuildPatched Build = "patched"
	BuildForeign Build = "foreign"
)

// Instance is one allocation of a target.
type Instance struct {
	ID         string    `json:"id"` // Nomad allocation ID
	Name       string    `json:"name"`
	Node       string    `json:"node"`
	JobVersion uint64    `json:"job_version"`
	Build      Build     `json:"build,omitempty"` // set while a rollout is under way
	Canary     bool      `json:"canary,omitempty"`
	Health     Health    `json:"health"`
	Because    string    `json:"because,omitempty"` // why it is not healthy
	Started    time.Time `json:"started,omitzero"`
	Address    string    `json:"address,omitempty"` // host:port of its first port
}
