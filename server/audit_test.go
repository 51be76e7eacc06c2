package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/audit"
	"github.com/oakumhq/oakum/internal/rollout"
)

func TestEffect_IsRecordedBeforeAndAfterIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log, err := audit.New(audit.Options{Server: "a", Key: audit.NewKey(), Devices: []audit.Device{audit.FileDevice{Path: path}}})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, log.Close()) })
	move := rollout.Move{Rollout: "p-0", Target: api.TargetRef{Namespace: "default", Job: "web", Group: "app"}}
	did := 0
	do := func() error {
		did++
		if did == 2 {
			return api.Errorf(api.CodeConflict, "job was changed: s3cret")
		}
		return nil
	}
	must.NoError(t, effect(log, effectOn("stage", move, ""), false, do))
	must.True(t, api.IsCode(effect(log, effectOn("promote", move, ""), false, do), api.CodeConflict))

	text, err := os.ReadFile(path)
	must.NoError(t, err)
	must.StrNotContains(t, string(text), "s3cret")
	var have []audit.Entry
	for line := range bytes.Lines(text) {
		var e audit.Entry
		must.NoError(t, json.Unmarshal(line, &e))
		have = append(have, e)
	}
	must.SliceLen(t, 5, have)
	must.Eq(t, &audit.Effect{Action: "stage", Rollout: "p-0", Target: "default/web/app"}, have[1].Effect)
	must.Eq(t, &audit.Effect{Action: "stage", Rollout: "p-0", Target: "default/web/app", OK: true}, have[2].Effect)
	must.EqOp(t, have[1].ID, have[2].ID)
	must.EqOp(t, audit.KindOutcome, have[4].Kind)
	must.EqOp(t, "conflict", have[4].Effect.Error)

	must.NoError(t, os.Truncate(path, 1)) // it takes nothing now
	must.True(t, api.IsCode(effect(log, effectOn("stage", move, ""), false, do), api.CodeUnavailable))
	must.EqOp(t, 2, did)
	must.NoError(t, effect(log, effectOn("rollback", move, ""), true, do))
	must.EqOp(t, 3, did)
}

// simulated counts simulations.
type simulated struct{ runs int }

func (s *simulated) Simulate(context.Context, string, api.Rollout, api.Target) (api.Impact, []api.Apply, error) {
	s.runs++
	return api.Impact{}, nil, nil
}

// A device that fails while nothing is recorded shows only with the intent itself.
func TestRecordedSimulator_WaitsForADevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log, err := audit.New(audit.Options{Server: "a", Key: audit.NewKey(), Devices: []audit.Device{audit.FileDevice{Path: path}}})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, log.Close()) })
	must.NoError(t, os.Truncate(path, 1)) // it takes nothing now, and nobody knows
	to := &simulated{}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, _, err := recordedSimulator{to, log}.Simulate(ctx, "s1", api.Rollout{ID: "p-0"}, api.Target{})
		ended <- err
	}()
	stop := errors.New("the term ends")
	cancel(stop)
	must.ErrorIs(t, <-ended, stop) // it waits, and does not end with an error of the log
	must.EqOp(t, 0, to.runs)

	must.NoError(t, os.Rename(path, path+".evidence"))
	_, _, err = recordedSimulator{to, log}.Simulate(t.Context(), "s1", api.Rollout{ID: "p-0"}, api.Target{})
	must.NoError(t, err)
	must.EqOp(t, 1, to.runs)
}
