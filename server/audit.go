package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/audit"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/config"
)

// openAudit opens the audit log, nil without devices.
func openAudit(cfg *config.Config, log *slog.Logger) (*audit.Log, error) {
	if len(cfg.Audit) == 0 {
		return nil, nil //nolint:nilnil // a nil log records nothing
	}
	key := audit.NewKey()
	if !cfg.Dev {
		var err error
		if key, err = audit.Key(filepath.Join(cfg.DataDir, "audit.key")); err != nil {
			return nil, err
		}
	}
	o := audit.Options{Server: cfg.Name, Key: key, Logger: log}
	for _, d := range cfg.Audit {
		switch d.Kind {
		case config.AuditFile:
			o.Devices = append(o.Devices, audit.FileDevice{Path: d.Path, RotateBytes: int64(d.RotateBytes), RotateKeep: d.RotateKeep})
		case config.AuditSocket:
			network, address := d.Socket()
			o.Devices = append(o.Devices, audit.SocketDevice{Network: network, Address: address})
		case config.AuditSyslog:
			o.Devices = append(o.Devices, audit.SyslogDevice{Tag: d.Tag})
		}
	}
	return audit.New(o)
}

// effect records an intent, has it carried out, and records the outcome. What no device
// records is not carried out, unless it takes a patch back or cleans up after it.
func effect(log *audit.Log, e audit.Effect, back bool, do func() error) error {
	id, err := intend(log, e)
	if err != nil && !back {
		return err
	}
	return carryOut(log, id, e, do)
}

// intend records an intent, and returns the ID that its outcome has as well.
func intend(log *audit.Log, e audit.Effect) (id string, err error) {
	id = strings.ToLower(rand.Text())
	return id, log.Record(audit.Entry{Kind: audit.KindIntent, ID: id, Effect: &e})
}

// carryOut does what was intended, and records the outcome.
func carryOut(log *audit.Log, id string, e audit.Effect, do func() error) error {
	err := do()
	done := e
	done.OK = err == nil
	if err != nil {
		done.Error = string(api.AsError(err).Code)
	}
	_ = log.Record(audit.Entry{Kind: audit.KindOutcome, ID: id, Effect: &done}) // it is done, and the log has said so
	return err
}

func effectOn(action string, m rollout.Move, detail string) audit.Effect {
	return audit.Effect{Action: action, Rollout: m.Rollout, Target: m.Target.String(), Detail: detail}
}

// mover records what changes jobs.
type mover struct {
	to  orchestrator.Mover
	log *audit.Log
}

var _ orchestrator.Mover = mover{}

// Stage moves instances to the patched build.
func (v mover) Stage(ctx context.Context, m rollout.Move, mode api.StageMode, delta int, expect uint64) error {
	e := effectOn("stage", m, fmt.Sprintf("mode %s, %d instances, job index %d", mode, delta, expect))
	return effect(v.log, e, false, func() error { return v.to.Stage(ctx, m, mode, delta, expect) })
}

// Promote promotes a deployment.
func (v mover) Promote(ctx context.Context, m rollout.Move) error {
	return effect(v.log, effectOn("promote", m, ""), false, func() error { return v.to.Promote(ctx, m) })
}

// EndStage ends the deployment of a stage.
func (v mover) EndStage(ctx context.Context, m rollout.Move, expect uint64) error {
	e := effectOn("end_stage", m, fmt.Sprintf("job index %d", expect))
	return effect(v.log, e, false, func() error { return v.to.EndStage(ctx, m, expect) })
}

// Settle ends a deployment. A rollback needs it too.
func (v mover) Settle(ctx context.Context, m rollout.Move) error {
	return effect(v.log, effectOn("settle", m, ""), true, func() error { return v.to.Settle(ctx, m) })
}

// Rollback registers the former job.
func (v mover) Rollback(ctx context.Context, m rollout.Move, size int, expect uint64) error {
	e := effectOn("rollback", m, fmt.Sprintf("%d instances, job index %d", size, expect))
	return effect(v.log, e, true, func() error { return v.to.Rollback(ctx, m, size, expect) })
}

// Renew registers the patched job once more.
func (v mover) Renew(ctx context.Context, m rollout.Move, expect uint64) error {
	e := effectOn("renew", m, fmt.Sprintf("job index %d", expect))
	return effect(v.log, e, false, func() error { return v.to.Renew(ctx, m, expect) })
}

// Unpace gives a job its own update block back.
func (v mover) Unpace(ctx context.Context, m rollout.Move, build api.Build, expect uint64) error {
	e := effectOn("unpace", m, fmt.Sprintf("%s build, job index %d", build, expect))
	return effect(v.log, e, build == api.BuildFormer, func() error { return v.to.Unpace(ctx, m, build, expect) })
}

// tagger records the marks of job versions.
type tagger struct {
	to  orchestrator.Tagger
	log *audit.Log
}

var _ orchestrator.Tagger = tagger{}

// Tag marks a version.
func (g tagger) Tag(ctx context.Context, m rollout.Move) error {
	return effect(g.log, effectOn("tag", m, ""), false, func() error { return g.to.Tag(ctx, m) })
}

// Untag takes the mark off.
func (g tagger) Untag(ctx context.Context, m rollout.Move) error {
	return effect(g.log, effectOn("untag", m, ""), true, func() error { return g.to.Untag(ctx, m) })
}

// recordedSimulator records simulations, whose twins are jobs of Nomad's.
type recordedSimulator struct {
	to  orchestrator.Simulator
	log *audit.Log
}

var _ orchestrator.Simulator = recordedSimulator{}

// auditRetry is how often a simulation that no device records looks whether one does.
const auditRetry = time.Second

// Simulate begins when a device has recorded that it will: an error here would count as
// one of the simulation.
func (r recordedSimulator) Simulate(ctx context.Context, id string, of api.Rollout, target api.Target) (impact api.Impact, baked []api.Apply, err error) {
	e := audit.Effect{Action: "simulate", Rollout: of.ID, Patch: of.Patch, Target: of.Target.String(), Detail: "simulation " + id}
	intent, err := intend(r.log, e)
	for ; err != nil; intent, err = intend(r.log, e) {
		timer := time.NewTimer(auditRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return impact, nil, context.Cause(ctx)
		}
	}
	err = carryOut(r.log, intent, e, func() (err error) {
		impact, baked, err = r.to.Simulate(ctx, id, of, target)
		return err
	})
	return impact, baked, err
}

// terminal records the commands that are run in instances. What a command says may be
// secret: its HMAC is recorded.
type terminal struct {
	to  orchestrator.Terminal
	log *audit.Log
}

var _ orchestrator.Terminal = terminal{}

// Exec runs a command.
func (t terminal) Exec(ctx context.Context, namespace, instance, task string, command []string) (output string, status int, err error) {
	e := audit.Effect{
		Action: "exec", Target: namespace + "/" + instance + "/" + task,
		Detail: "command " + t.log.Conceal([]byte(strings.Join(command, "\x00"))),
	}
	err = effect(t.log, e, false, func() (err error) {
		output, status, err = t.to.Exec(ctx, namespace, instance, task, command)
		return err
	})
	return output, status, err
}
