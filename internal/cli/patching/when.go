package patching

import (
	"context"
	"io"
	"runtime/debug"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/rehearsal"
	"github.com/oakumhq/oakum/policies"
)

func patchWhen(e *command.Env) *command.Command {
	c := command.New("patch when", command.OneOpt("TARGET", "FILE"), "Tell when a target is patched", `
Tells when each wave of a patch starts and ends, and in which of them TARGET goes:
the time that half of the plays do not exceed, and that of nine in ten. The plays are
those of "oakum patch rehearse" with a harmless patch; their times come from
what Oakum has seen of the fleet. TARGET is namespace/job/group, job/group or a job.

Without FILE it is the plan whose rollout is open on TARGET, as far as that is
left. With FILE it is that patch, if it were submitted now.

    $ oakum patch when prod/web/vm
    $ oakum patch when prod/web/vm openssl.hcl

The exit code is 2 when the patch does not go to TARGET.`).Remote().Prints()
	o := rehearsal.Options{Harmless: true}
	c.Flags.IntVar(&o.Seeds, "seeds", rehearsal.DefaultSeeds, "How many `plays` there are. Default: 100.")
	c.Flags.Uint64Var(&o.Seed, "seed", 0, "The first `seed`. The same one gives the same times of the same facts. Default: 0.")
	c.Flags.DurationVar(&o.People, "people", rehearsal.DefaultPeople, "The `time` that people take to answer what Oakum asks them. Default: 1h.")
	c.Flags.DurationVar(&o.Healthy, "healthy-after", rehearsal.DefaultHealthy,
		"The `time` until an instance is healthy, where Oakum has seen none. Default: 30s.")
	plugins := c.PluginFlag()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if err := playable(&o); err != nil {
			return err
		}
		target, err := api.ParseTargetRef(args[0])
		if err != nil {
			return err
		}
		file := ""
		if len(args) > 1 {
			file = args[1]
		}
		forecast, err := when(ctx, e, cl, target, file, *plugins, o)
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, forecast, func(w io.Writer) { view.Forecast(w, forecast, e.Width) }); err != nil {
			return err
		}
		if forecast.Wave == 0 {
			return command.No("The patch does not go to %s.", target)
		}
		return nil
	})
	return c
}

// when plays what is to come for a target: the patch of a file, or what is left of the plan
// that has the target.
func when(ctx context.Context, e *command.Env, cl *client.Client, target api.TargetRef, file string, plugins []string, o rehearsal.Options) (api.Forecast, error) {
	var none api.Forecast
	source, plan, err := patchFor(ctx, e, cl, target, file, &o)
	if err != nil {
		return none, err
	}
	patch, diags := policies.ParsePatch(source)
	if diags.HasErrors() {
		return none, policies.DiagnosticsError(diags, []api.SourceFile{source})
	}
	facts, err := cl.Facts(ctx)
	if err != nil {
		return none, err
	}
	// The rollouts that are left are played from their beginning, so they are not in the way.
	facts.Open = slices.DeleteFunc(facts.Open, func(r api.Rollout) bool { return slices.Contains(o.Only, r.Target) })
	h, err := asked(ctx, plugins)
	if err != nil {
		return none, err
	}
	defer func() { _ = h.Close() }() // its processes hold nothing
	o.Plugins = h
	defer debug.SetGCPercent(debug.SetGCPercent(rehearsal.Collect))
	report, err := rehearsal.Run(ctx, facts, patch, o)
	if err != nil {
		return none, err
	}
	out := rehearsal.Forecast(report, target)
	if out.Plan = plan; file == "" {
		out.Assumptions = append([]string{
			"What is under way is counted from its beginning: simulations, consents and stages that are done take their time once more, so that the times are late rather than early.",
		}, out.Assumptions...)
	}
	return out, nil
}

// patchFor reads the patch that a target is asked about: the file, or the cluster's, with the
// plan that has an open rollout of the target. It then limits the plays to what is left of that.
func patchFor(ctx context.Context, e *command.Env, cl *client.Client, target api.TargetRef, file string, o *rehearsal.Options) (api.SourceFile, string, error) {
	if file != "" {
		source, err := input.UnlessInterrupted(ctx, func() (api.SourceFile, error) { return input.WithFiles(file, e.Stdin) })
		return source, "", err
	}
	all, _, err := cl.Rollouts(ctx, client.Query{})
	if err != nil {
		return api.SourceFile{}, "", err
	}
	open := openOnes(all)
	i := slices.IndexFunc(open, func(r api.Rollout) bool { return r.Target == target })
	if i < 0 {
		return api.SourceFile{}, "", api.Errorf(api.CodeNotFound, "no rollout is open on %s: name the FILE of a patch", target)
	}
	own := open[i]
	patch, _, err := cl.Patch(ctx, own.Patch, client.Query{})
	if err != nil {
		return api.SourceFile{}, "", err
	}
	for _, r := range open {
		if r.Plan == own.Plan {
			o.Only = append(o.Only, r.Target)
		}
	}
	return patch.File, own.Plan, nil
}
