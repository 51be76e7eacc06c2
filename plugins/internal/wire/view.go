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

func fromTarget(t api.Target) *v1.Target {
	return &v1.Target{
		Ref:            &v1.TargetRef{Namespace: t.Namespace, Job: t.Job, Group: t.Group},
		Count:          int64(t.Count),
		Driver:         t.Driver,
		Tasks:          each(t.Tasks, fromTask),
		Services:       t.Services,
		Meta:           t.Meta,
		JobVersion:     t.JobVersion,
		JobModifyIndex: t.JobModifyIndex,
	}
}

func toTarget(m *v1.Target) api.Target {
	ref := m.GetRef()
	return api.Target{
		TargetRef:      api.TargetRef{Namespace: ref.GetNamespace(), Job: ref.GetJob(), Group: ref.GetGroup()},
		Count:          int(m.GetCount()),
		Driver:         m.GetDriver(),
		Tasks:          each(m.GetTasks(), toTask),
		Services:       m.GetServices(),
		Meta:           m.GetMeta(),
		JobVersion:     m.GetJobVersion(),
		JobModifyIndex: m.GetJobModifyIndex(),
	}
}

func fromTask(t api.Task) *v1.Task {
	return &v1.Task{Name: t.Name, Driver: t.Driver, Lifecycle: t.Lifecycle, Image: t.Image}
}

func toTask(m *v1.Task) api.Task {
	return api.Task{Name: m.GetName(), Driver: m.GetDriver(), Lifecycle: m.GetLifecycle(), Image: m.GetImage()}
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
	}
}
