package wire

import (
	"github.com/oakumhq/oakum/api"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
)

// A value that this side does not know becomes the empty string, which every
// check refuses: nothing is guessed about a newer peer.

func fromMode(m api.StageMode) v1.StageMode {
	switch m {
	case api.StageInPlace:
		return v1.StageMode_STAGE_MODE_IN_PLACE
	case api.StageBeside:
		return v1.StageMode_STAGE_MODE_BESIDE
	}
	return v1.StageMode_STAGE_MODE_UNSPECIFIED
}

func toMode(m v1.StageMode) api.StageMode {
	switch m {
	case v1.StageMode_STAGE_MODE_IN_PLACE:
		return api.StageInPlace
	case v1.StageMode_STAGE_MODE_BESIDE:
		return api.StageBeside
	case v1.StageMode_STAGE_MODE_UNSPECIFIED:
	}
	return ""
}

func fromHealth(h api.Health) v1.Health {
	switch h {
	case api.Healthy:
		return v1.Health_HEALTH_HEALTHY
	case api.Unhealthy:
		return v1.Health_HEALTH_UNHEALTHY
	case api.Pending:
		return v1.Health_HEALTH_PENDING
	}
	return v1.Health_HEALTH_UNSPECIFIED
}

func toHealth(h v1.Health) api.Health {
	switch h {
	case v1.Health_HEALTH_HEALTHY:
		return api.Healthy
	case v1.Health_HEALTH_UNHEALTHY:
		return api.Unhealthy
	case v1.Health_HEALTH_PENDING:
		return api.Pending
	case v1.Health_HEALTH_UNSPECIFIED:
	}
	return ""
}

func fromBuild(b api.Build) v1.Build {
	switch b {
	case api.BuildFormer:
		return v1.Build_BUILD_FORMER
	case api.BuildPatched:
		return v1.Build_BUILD_PATCHED
	case api.BuildForeign:
		return v1.Build_BUILD_FOREIGN
	}
	return v1.Build_BUILD_UNSPECIFIED
}

func toBuild(b v1.Build) api.Build {
	switch b {
	case v1.Build_BUILD_FORMER:
		return api.BuildFormer
	case v1.Build_BUILD_PATCHED:
		return api.BuildPatched
	case v1.Build_BUILD_FOREIGN:
		return api.BuildForeign
	case v1.Build_BUILD_UNSPECIFIED:
	}
	return ""
}

func fromVerdictKind(k api.VerdictKind) v1.VerdictKind {
	switch k {
	case api.VerdictAbort:
		return v1.VerdictKind_VERDICT_KIND_ABORT
	case api.VerdictPromote:
		return v1.VerdictKind_VERDICT_KIND_PROMOTE
	case api.VerdictContinue:
		return v1.VerdictKind_VERDICT_KIND_CONTINUE
	case api.VerdictInconclusive:
		return v1.VerdictKind_VERDICT_KIND_INCONCLUSIVE
	}
	return v1.VerdictKind_VERDICT_KIND_UNSPECIFIED
}

func toVerdictKind(k v1.VerdictKind) api.VerdictKind {
	switch k {
	case v1.VerdictKind_VERDICT_KIND_ABORT:
		return api.VerdictAbort
	case v1.VerdictKind_VERDICT_KIND_PROMOTE:
		return api.VerdictPromote
	case v1.VerdictKind_VERDICT_KIND_CONTINUE:
		return api.VerdictContinue
	case v1.VerdictKind_VERDICT_KIND_INCONCLUSIVE:
		return api.VerdictInconclusive
	case v1.VerdictKind_VERDICT_KIND_UNSPECIFIED:
	}
	return ""
}

func fromAction(a api.AdviceAction) v1.Action {
	switch a {
	case api.AdviceStage:
		return v1.Action_ACTION_STAGE
	case api.AdvicePromote:
		return v1.Action_ACTION_PROMOTE
	case api.AdviceFinish:
		return v1.Action_ACTION_FINISH
	case api.AdviceHold:
		return v1.Action_ACTION_HOLD
	case api.AdviceRollback:
		return v1.Action_ACTION_ROLLBACK
	}
	return v1.Action_ACTION_UNSPECIFIED
}

func toAction(a v1.Action) api.AdviceAction {
	switch a {
	case v1.Action_ACTION_STAGE:
		return api.AdviceStage
	case v1.Action_ACTION_PROMOTE:
		return api.AdvicePromote
	case v1.Action_ACTION_FINISH:
		return api.AdviceFinish
	case v1.Action_ACTION_HOLD:
		return api.AdviceHold
	case v1.Action_ACTION_ROLLBACK:
		return api.AdviceRollback
	case v1.Action_ACTION_UNSPECIFIED:
	}
	return ""
}
