package policies_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
)

// readers are conditions that read facts in every way that a policy can.
func readers() []string {
	return []string{
		`target.namespace == "prod"`, `target.job == "b"`, `target.group == "b"`, `target.ref == "prod/a/b"`,
		`target.count > 2`, `target.driver == "qemu"`, `target.job_version == 3`, `contains(target.services, "x")`,
		`target.meta.tier == "1"`, `target.meta["tier"] == "1"`, `length(target.meta) > 1`, `lookup(target.meta, "os", "") == "b"`,
		`target.tasks[0].driver == "qemu"`, `length(keys(target)) > 3 && target.count > 1`,
		`graph.known`, `graph.blast_radius > 1`, `graph.blast_radius_max > 1`, `graph.single_point`, `graph.single_instance`,
		`graph.score > 0.5`, `length(graph.dependants) > 1`, `contains(graph.dominates, "x")`, `graph.service == "x"`,
		`length(graph.shared_nodes_with) > 0`, `cluster.targets > 3`, `true`,
	}
}

func drawTarget(t *rapid.T) (api.Target, api.Criticality) {
	few := rapid.SampledFrom([]string{"", "a", "b", "1", "prod", "qemu", "x"})
	list := rapid.SliceOfN(few, 0, 2)
	target := api.Target{
		TargetRef: api.TargetRef{Namespace: few.Draw(t, "namespace"), Job: few.Draw(t, "job"), Group: few.Draw(t, "group")},
		Count:     rapid.IntRange(0, 4).Draw(t, "count"), Driver: few.Draw(t, "driver"), Services: list.Draw(t, "services"),
		JobVersion: rapid.Uint64Range(2, 3).Draw(t, "version"),
		Meta:       rapid.MapOfN(rapid.SampledFrom([]string{"tier", "os", "other"}), few, 0, 3).Draw(t, "meta"),
		Tasks:      []api.Task{{Name: few.Draw(t, "task"), Driver: few.Draw(t, "task driver")}},
	}
	return target, api.Criticality{
		Service: few.Draw(t, "service"), BlastRadius: rapid.IntRange(0, 3).Draw(t, "radius"), BlastRadiusMax: rapid.IntRange(0, 3).Draw(t, "most"),
		SinglePoint: rapid.Bool().Draw(t, "point"), SingleInstance: rapid.Bool().Draw(t, "instance"),
		Score: rapid.SampledFrom([]float64{0, 0.25, 0.75}).Draw(t, "score"), Dependants: list.Draw(t, "dependants"),
		Dominates: list.Draw(t, "dominates"), SharedNodesWith: list.Draw(t, "shared"),
	}
}

// vary returns a target that differs from another in one thing at most.
func vary(t *rapid.T, target api.Target, c api.Criticality) (api.Target, api.Criticality) {
	other, graph := drawTarget(t)
	switch rapid.IntRange(0, 16).Draw(t, "differs in") {
	case 0:
		target.Namespace = other.Namespace
	case 1:
		target.Job = other.Job
	case 2:
		target.Group = other.Group
	case 3:
		target.Count = other.Count
	case 4:
		target.Driver = other.Driver
	case 5:
		target.Services = other.Services
	case 6:
		target.JobVersion = other.JobVersion
	case 7:
		target.Meta = other.Meta
	case 8:
		target.Tasks = other.Tasks
	case 9:
		c.Service = graph.Service
	case 10:
		c.BlastRadius = graph.BlastRadius
	case 11:
		c.BlastRadiusMax = graph.BlastRadiusMax
	case 12:
		c.SinglePoint = graph.SinglePoint
	case 13:
		c.SingleInstance = graph.SingleInstance
	case 14:
		c.Score = graph.Score
	case 15:
		c.Dependants = graph.Dependants
	case 16:
		c.Dominates, c.SharedNodesWith = graph.Dominates, graph.SharedNodesWith
	}
	return target, c
}

// TestSession_DecidesAsIfForEachAlone lets one session decide about many targets
// that resemble each other, and compares with a session of their own.
func TestSession_DecidesAsIfForEachAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		condition := rapid.SampledFrom([]string{rapid.SampledFrom(readers()).Draw(t, "condition"), "true"})
		lib := load(t, `policy "drawn" {
  applies  = `+condition.Draw(t, "applies")+`
  critical = `+condition.Draw(t, "critical")+`
  deadline = target.critical ? "7m" : "8m"
  strategy "phased" { when = `+condition.Draw(t, "when")+` }
  approval { when = `+condition.Draw(t, "approval")+` }
}`)
		f := facts()
		session := lib.Session(f.Patch, f.Cluster, f.Now)
		f.Target, f.Criticality = drawTarget(t)
		for range 32 {
			f.Target, f.Criticality = vary(t, f.Target, f.Criticality)
			want, wantErr := lib.Decide(f)
			got, err := session.Decide(f.Target, f.Criticality, nil, nil)
			must.Eq(t, wantErr, err)
			must.Eq(t, "", cmp.Diff(want, got))
			critical, why, wantErr := lib.Critical(f)
			same, reason, err := session.Critical(f.Target, f.Criticality)
			must.Eq(t, wantErr, err)
			must.Eq(t, critical, same)
			must.Eq(t, why, reason)
		}
	})
}
