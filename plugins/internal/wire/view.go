package wire

import (
	"github.com/oakumhq/oakum/api"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
)

// FromView is the message form of a view.
func FromView(v api.StrategyView) *v1.View {
	return &v1.View{
		Rollout:    v.Rollout,
		Target:     fromTarget(v.Target),
		Critical:   v.Critical,
		ConfigJson: v.Config,
		Stages:     each(v.Stages, fromStage),
		Instances:  each(v.Instances, fromInstance),
		Neighbours: v.Neighbours,
		Verdict:    fromVerdict(v.Verdict),
	}
}

// ToView reads a view message.
func ToView(m *v1.View) api.StrategyView {
	return api.StrategyView{
		Rollout:    m.GetRollout(),
		Target:     toTarget(m.GetTarget()),
		Critical:   m.GetCritical(),
		Config:     raw(m.GetConfigJson()),
		Stages:     each(m.GetStages(), toStage),
		Instances:  each(m.GetInstances(), toInstance),
		Neighbours: m.GetNeighbours(),
		Verdict:    toVerdict(m.GetVerdict()),
	}
}

func fromRef(r api.TargetRef) *v1.TargetRef {
	return &v1.TargetRef{Namespace: r.Namespace, Job: r.Job, Group: r.Group}
}

func toRef(m *v1.TargetRef) api.TargetRef {
	return api.TargetRef{Namespace: m.GetNamespace(), Job: m.GetJob(), Group: m.GetGroup()}
}

func fromTarget(t api.Target) *v1.Target {
	return &v1.Target{
		Ref:            fromRef(t.TargetRef),
		Count:          int64(t.Count),
		Driver:         t.Driver,
		Tasks:          each(t.Tasks, fromTask),
		Services:       t.Services,
		Meta:           t.Meta,
		JobVersion:     t.JobVersion,
		JobModifyIndex: t.JobModifyIndex,
		Checked:        t.Checked,
	}
}

func toTarget(m *v1.Target) api.Target {
	return api.Target{
		TargetRef:      toRef(m.GetRef()),
		Count:          int(m.GetCount()),
		Driver:         m.GetDriver(),
		Tasks:          each(m.GetTasks(), toTask),
		Services:       m.GetServices(),
		Meta:           m.GetMeta(),
		JobVersion:     m.GetJobVersion(),
		JobModifyIndex: m.GetJobModifyIndex(),
		Checked:        m.GetChecked(),
	}
}

func fromTask(t api.Task) *v1.Task {
	return &v1.Task{Name: t.Name, Driver: t.Driver, Lifecycle: t.Lifecycle, Image: t.Image, Digest: t.Digest}
}

func toTask(m *v1.Task) api.Task {
	return api.Task{Name: m.GetName(), Driver: m.GetDriver(), Lifecycle: m.GetLifecycle(), Image: m.GetImage(), Digest: m.GetDigest()}
}

func fromStage(s api.Stage) *v1.Stage {
	return &v1.Stage{
		Number:    int64(s.Number),
		Percent:   int64(s.Percent),
		Mode:      fromMode(s.Mode),
		Instances: int64(s.Instances),
		Promoted:  s.Promoted,
		Began:     nanos(s.Began),
		Ready:     nanos(s.Ready),
		Judged:    nanos(s.Judged),
		Verdict:   fromVerdict(s.Verdict),
		Asked:     int64(s.Asked),
		Deadline:  nanos(s.Deadline),
		Lapsed:    nanos(s.Lapsed),
	}
}

func toStage(m *v1.Stage) api.Stage {
	return api.Stage{
		Number:    int(m.GetNumber()),
		Percent:   int(m.GetPercent()),
		Mode:      toMode(m.GetMode()),
		Instances: int(m.GetInstances()),
		Promoted:  m.GetPromoted(),
		Began:     moment(m.GetBegan()),
		Ready:     moment(m.GetReady()),
		Judged:    moment(m.GetJudged()),
		Verdict:   toVerdict(m.GetVerdict()),
		Asked:     int(m.GetAsked()),
		Deadline:  moment(m.GetDeadline()),
		Lapsed:    moment(m.GetLapsed()),
	}
}

func fromInstance(i api.Instance) *v1.Instance {
	return &v1.Instance{
		Id:         i.ID,
		Name:       i.Name,
		Node:       i.Node,
		JobVersion: i.JobVersion,
		Build:      fromBuild(i.Build),
		Canary:     i.Canary,
		Health:     fromHealth(i.Health),
		Because:    i.Because,
		Started:    nanos(i.Started),
		Address:    i.Address,
	}
}

func toInstance(m *v1.Instance) api.Instance {
	return api.Instance{
		ID:         m.GetId(),
		Name:       m.GetName(),
		Node:       m.GetNode(),
		JobVersion: m.GetJobVersion(),
		Build:      toBuild(m.GetBuild()),
		Canary:     m.GetCanary(),
		Health:     toHealth(m.GetHealth()),
		Because:    m.GetBecause(),
		Started:    moment(m.GetStarted()),
		Address:    m.GetAddress(),
	}
}

func fromVerdict(v *api.Verdict) *v1.Verdict {
	if v == nil {
		return nil
	}
	return &v1.Verdict{
		Kind:   fromVerdictKind(v.Kind),
		At:     nanos(v.At),
		Looks:  int64(v.Looks),
		Reason: v.Reason,
		Kpis:   each(v.KPIs, fromKPI),
		Blame:  each(v.Blame, fromBlame), Neighbours: each(v.Neighbours, fromNeighbour),
	}
}

func toVerdict(m *v1.Verdict) *api.Verdict {
	if m == nil {
		return nil
	}
	return &api.Verdict{
		Kind:   toVerdictKind(m.GetKind()),
		At:     moment(m.GetAt()),
		Looks:  int(m.GetLooks()),
		Reason: m.GetReason(),
		KPIs:   each(m.GetKpis(), toKPI),
		Blame:  each(m.GetBlame(), toBlame), Neighbours: each(m.GetNeighbours(), toNeighbour),
	}
}

func fromBlame(b api.Blame) *v1.Blame {
	return &v1.Blame{Rollout: b.Rollout, Target: fromRef(b.Target), Score: b.Score, Share: b.Share, Faults: int64(b.Faults)}
}

func toBlame(m *v1.Blame) api.Blame {
	return api.Blame{Rollout: m.GetRollout(), Target: toRef(m.GetTarget()), Score: m.GetScore(), Share: m.GetShare(), Faults: int(m.GetFaults())}
}

func fromNeighbour(n api.NeighbourEffect) *v1.NeighbourEffect {
	return &v1.NeighbourEffect{
		Target: fromRef(n.Target), Kpi: n.KPI, Unit: n.Unit, Value: n.Value, Before: n.Before, Since: nanos(n.Since), Earlier: n.Earlier,
		Seen: nanos(n.Seen), Exposure: n.Exposure,
	}
}

func toNeighbour(m *v1.NeighbourEffect) api.NeighbourEffect {
	return api.NeighbourEffect{
		Target: toRef(m.GetTarget()), KPI: m.GetKpi(), Unit: m.GetUnit(), Value: m.GetValue(), Before: m.GetBefore(),
		Since: moment(m.GetSince()), Earlier: m.GetEarlier(), Seen: moment(m.GetSeen()), Exposure: m.GetExposure(),
	}
}

func fromKPI(k api.KPIEffect) *v1.KPIEffect {
	return &v1.KPIEffect{
		Kpi:      k.KPI,
		Kind:     fromVerdictKind(k.Kind),
		Stable:   k.Stable,
		Canary:   k.Canary,
		Unit:     k.Unit,
		Ratio:    k.Ratio,
		Evidence: k.Evidence,
		Needed:   k.Needed,
		Promote:  k.Promote,
		Exposure: k.Exposure,
		Reason:   k.Reason,
		Missing:  k.Missing,
		Low:      k.Low,
		High:     k.High,
		Unjudged: k.Unjudged,
		Before:   k.Before,
		Worse:    nanos(k.Worse),
	}
}

func toKPI(m *v1.KPIEffect) api.KPIEffect {
	return api.KPIEffect{
		KPI:      m.GetKpi(),
		Kind:     toVerdictKind(m.GetKind()),
		Stable:   m.GetStable(),
		Canary:   m.GetCanary(),
		Unit:     m.GetUnit(),
		Ratio:    m.GetRatio(),
		Evidence: m.GetEvidence(),
		Needed:   m.GetNeeded(),
		Promote:  m.GetPromote(),
		Exposure: m.GetExposure(),
		Reason:   m.GetReason(),
		Missing:  m.GetMissing(),
		Low:      m.GetLow(),
		High:     m.GetHigh(),
		Unjudged: m.GetUnjudged(),
		Before:   m.Before,
		Worse:    moment(m.GetWorse()),
	}
}
