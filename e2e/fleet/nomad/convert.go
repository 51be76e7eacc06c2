package nomad

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/twin"
)

// The model keeps of a job what it acts by, and its text, in which Nomad's own
// defaults are filled in and everything that the model counts is left out. So a
// job reads back as it was registered.

// FromNomad turns a job as people write it into the model's.
func FromNomad(job *nomadapi.Job) (fleet.Job, error) {
	copied, err := copyJob(job)
	if err != nil {
		return fleet.Job{}, err
	}
	copied.Canonicalize()
	if *copied.NodePool == "" {
		*copied.NodePool = nomadapi.NodePoolDefault
	}
	out := fleet.Job{
		JobID: fleet.JobID{Namespace: *copied.Namespace, ID: *copied.ID}, Type: *copied.Type, Priority: *copied.Priority,
		Datacenters: copied.Datacenters, NodePool: *copied.NodePool, Meta: copied.Meta, Constraints: constraints(copied.Constraints),
		Launch: launch(copied),
	}
	isTwin := strings.HasPrefix(*copied.ID, twin.Prefix)
	for _, g := range copied.TaskGroups {
		group, err := fromGroup(g)
		if err != nil {
			return fleet.Job{}, err
		}
		if isTwin {
			overlaid(&group)
		}
		out.Groups = append(out.Groups, group)
	}
	out.Text, err = text(copied)
	return out, err
}

// launch is how the runs of a job are started; empty when it has instances of its own.
func launch(job *nomadapi.Job) api.Launch {
	switch {
	case job.IsParameterized():
		return api.LaunchParameterized
	case job.IsPeriodic():
		return api.LaunchPeriodic
	}
	return ""
}

// text is a job without what the model counts.
func text(job *nomadapi.Job) ([]byte, error) {
	job.Stop, job.Status, job.StatusDescription, job.Stable = nil, nil, nil, nil
	job.Version, job.SubmitTime, job.VersionTag, job.NomadTokenID = nil, nil, nil, nil
	job.CreateIndex, job.ModifyIndex, job.JobModifyIndex = nil, nil, nil
	for _, g := range job.TaskGroups {
		g.Count = nil
	}
	out, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode job %s: %w", *job.ID, err)
	}
	return out, nil
}

func copyJob(job *nomadapi.Job) (*nomadapi.Job, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode job: %w", err)
	}
	var out nomadapi.Job
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("decode job: %w", err)
	}
	return &out, nil
}

func fromGroup(g *nomadapi.TaskGroup) (fleet.Group, error) {
	out := fleet.Group{
		Name: *g.Name, Count: *g.Count, Update: fromUpdate(g.Update), Meta: g.Meta, Constraints: constraints(g.Constraints),
		Restart: fromRestart(g.RestartPolicy), Reschedule: fromReschedule(g.ReschedulePolicy),
	}
	if g.Migrate != nil && g.Migrate.MaxParallel != nil {
		out.Migrate = *g.Migrate.MaxParallel
	}
	for _, n := range g.Networks {
		for _, p := range append(n.DynamicPorts, n.ReservedPorts...) {
			out.Ports = append(out.Ports, p.Label)
		}
	}
	for _, v := range g.Volumes {
		if v != nil && !v.PerAlloc {
			out.Volumes = append(out.Volumes, map[bool]string{true: "csi/", false: "host/"}[v.Type == "csi"]+v.Source)
		}
	}
	services := g.Services
	for _, t := range g.Tasks {
		services = append(services, t.Services...)
		out.Constraints = append(out.Constraints, constraints(t.Constraints)...)
		out.Tasks = append(out.Tasks, fromTask(t))
	}
	for _, s := range services {
		out.Services = append(out.Services, fromService(s))
	}
	var err error
	out.Other, err = other(g)
	return out, err
}

func fromTask(t *nomadapi.Task) fleet.Task {
	out := fleet.Task{Name: t.Name, Driver: t.Driver, Config: t.Config, Env: t.Env}
	if t.Lifecycle != nil {
		out.Lifecycle = t.Lifecycle.Hook
		if t.Lifecycle.Sidecar {
			out.Lifecycle += "-sidecar"
		}
	}
	if r := t.Resources; r != nil {
		out.CPU, out.MemoryMB = orZero(r.CPU), orZero(r.MemoryMB)
	}
	return out
}

func fromService(s *nomadapi.Service) fleet.Service {
	out := fleet.Service{
		Name: s.Name, Port: s.PortLabel, Checked: len(s.Checks) > 0, Connect: s.Connect != nil, Tags: s.Tags, Meta: s.Meta,
	}
	if s.Provider == providerNomad {
		out.Provider = s.Provider
	}
	if s.Connect != nil && s.Connect.SidecarService != nil && s.Connect.SidecarService.Proxy != nil {
		for _, u := range s.Connect.SidecarService.Proxy.Upstreams {
			out.Upstreams = append(out.Upstreams, u.DestinationName)
		}
	}
	return out
}

func fromUpdate(u *nomadapi.UpdateStrategy) *fleet.Update {
	if u == nil {
		return nil
	}
	return &fleet.Update{
		Stagger: orZero(u.Stagger), MaxParallel: orZero(u.MaxParallel), HealthCheck: orZero(u.HealthCheck),
		MinHealthyTime: orZero(u.MinHealthyTime), HealthyDeadline: orZero(u.HealthyDeadline), ProgressDeadline: orZero(u.ProgressDeadline),
		Canary: orZero(u.Canary), AutoRevert: orZero(u.AutoRevert), AutoPromote: orZero(u.AutoPromote),
	}
}

func fromRestart(p *nomadapi.RestartPolicy) *fleet.Restart {
	if p == nil {
		return nil
	}
	out := &fleet.Restart{Attempts: orZero(p.Attempts), Interval: orZero(p.Interval), Delay: orZero(p.Delay)}
	if orZero(p.Mode) == nomadapi.RestartPolicyModeDelay {
		out.Attempts = math.MaxInt // it never fails for good
	}
	return out
}

func fromReschedule(p *nomadapi.ReschedulePolicy) *fleet.Reschedule {
	if p == nil {
		return nil
	}
	out := &fleet.Reschedule{
		Attempts: orZero(p.Attempts), Unlimited: orZero(p.Unlimited), Delay: orZero(p.Delay), MaxDelay: orZero(p.MaxDelay),
	}
	if orZero(p.DelayFunction) == "constant" {
		out.MaxDelay = out.Delay
	}
	return out
}

func constraints(list []*nomadapi.Constraint) []fleet.Constraint {
	var out []fleet.Constraint
	for _, c := range list {
		out = append(out, fleet.Constraint{Left: c.LTarget, Operand: c.Operand, Right: c.RTarget})
	}
	return out
}

// other is a digest of what replaces a group's instances in Nomad and has no
// field in the model.
func other(g *nomadapi.TaskGroup) (string, error) {
	parts := []any{g.EphemeralDisk, g.Networks, g.Volumes, g.Consul}
	for _, s := range g.Services {
		if s.Connect != nil {
			parts = append(parts, s.Connect, s.PortLabel)
		}
	}
	for _, t := range g.Tasks {
		parts = append(parts, t.Name, t.User, t.Artifacts, t.Vault, t.Consul, t.Templates, t.VolumeMounts, t.Meta, t.Identity, t.Identities, t.CSIPluginConfig)
		if r := t.Resources; r != nil {
			parts = append(parts, r.MemoryMaxMB, r.Cores, r.Devices, r.Networks)
		}
		if t.LogConfig != nil {
			parts = append(parts, t.LogConfig.Disabled)
		}
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return "", fmt.Errorf("encode group %s: %w", *g.Name, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// toNomad is a version of a job as Nomad's API tells it.
func toNomad(f *fleet.Fleet, j *fleet.Job) (*nomadapi.Job, error) {
	out, err := written(j)
	if err != nil {
		return nil, err
	}
	out.Stop, out.Status, out.StatusDescription, out.Stable = &j.Stopped, new(f.Status(j.JobID)), new(""), &j.Stable
	out.Version, out.SubmitTime = &j.Version, new(j.SubmittedAt.UnixNano())
	out.CreateIndex, out.ModifyIndex, out.JobModifyIndex = &j.CreateIndex, &j.StatusIndex, &j.ModifyIndex
	if j.Tag.Name != "" {
		out.VersionTag = &nomadapi.JobVersionTag{Name: j.Tag.Name, Description: j.Tag.Description, TaggedTime: j.Tag.At.UnixNano()}
	}
	return out, nil
}

// written is the job that was registered, with the counts that it has now.
func written(j *fleet.Job) (*nomadapi.Job, error) {
	if len(j.Text) == 0 {
		return nil, fmt.Errorf("job %s was not registered in Nomad's words", j.JobID)
	}
	var out nomadapi.Job
	if err := json.Unmarshal(j.Text, &out); err != nil {
		return nil, fmt.Errorf("decode job %s: %w", j.JobID, err)
	}
	for _, g := range out.TaskGroups {
		if own := j.Group(*g.Name); own != nil {
			g.Count = new(own.Count)
		}
	}
	return &out, nil
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// nanoseconds is a time as Nomad writes it; zero when it has not come.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// preparedImage is the image that a task of a twin lays the machine's disk over.
func preparedImage(t fleet.Task) string {
	args, _ := t.Config["args"].([]any)
	i := slices.Index(args, any(prepareDisk))
	if i < 0 || i+prepareImage >= len(args) {
		return ""
	}
	image, _ := args[i+prepareImage].(string)
	return image
}

// overlaid gives a twin's machine the image that its disk is laid over, which
// the job itself names only to the task that makes the disk: what the machine
// does is its build's doing.
func overlaid(g *fleet.Group) {
	image := ""
	for _, t := range g.Tasks {
		if t.Name == prepareTask {
			image = preparedImage(t)
		}
	}
	for i := range g.Tasks {
		if t := &g.Tasks[i]; t.Driver == "qemu" && image != "" {
			config := map[string]any{}
			maps.Copy(config, t.Config)
			config["image_path"] = cmp.Or(image, t.Image())
			t.Config = config
		}
	}
}
