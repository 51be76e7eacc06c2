package patching

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func simulateCommand(e *command.Env) *command.Command {
	c := command.New("simulate", command.One("PATCH"), "Try a patch on twins", `
Starts two copies of one of the target's instances, be it a machine, a container or
a program, as isolated Nomad jobs. It patches one of them, sends both the same
requests, and compares their KPIs. PATCH is a patch file. The target itself is not
touched, and no rollout is started.

The command tells each phase as it comes and waits for the end; the simulation
goes on without it, and "oakum simulation cancel" ends it. The exit code is 2
unless the patch passed: when it was rejected, or when the simulation could not
decide; and 1 when it failed or was cancelled, which says nothing about the patch.

    $ oakum simulate -target=prod/billing/vm openssl.hcl`).Remote().Prints()
	target := c.Flags.String("target", "",
		"The `target` to copy, as namespace/job/group. May be left out when the patch is for one target only.")
	detach := c.Flags.Bool("detach", false, "Start the simulation and do not wait for it.")
	c.Run = func(ctx context.Context, args []string) error {
		file, err := input.WithFiles(args[0], e.Stdin)
		if err != nil {
			return err
		}
		cl, err := c.Dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		ref, err := chooseTarget(ctx, cl, file, *target)
		if err != nil {
			return err
		}
		s, err := cl.Simulate(ctx, file, ref)
		if err != nil {
			return err
		}
		if !*detach {
			report := func(*api.SimulationProgress) {}
			if !c.Out.Machine() {
				e.Printf("Simulation %s of %s on %s\n", s.ID, s.Patch, s.Target)
				report = func(p *api.SimulationProgress) { e.Printf("%s  %s\n", view.Stamp(p.At), view.SimulationProgress(p)) }
			}
			if s, err = awaitSimulation(ctx, e, cl, s, report); err != nil {
				return err
			}
		}
		return simulationResult(e, c, s)
	}
	return c
}

// chooseTarget reads -target, or takes the only target that the patch is for.
func chooseTarget(ctx context.Context, cl *client.Client, file api.SourceFile, text string) (api.TargetRef, error) {
	if text != "" {
		return api.ParseTargetRef(text)
	}
	receipt, err := cl.PlanPatch(ctx, file)
	if err != nil {
		return api.TargetRef{}, err
	}
	var found []api.TargetRef
	for _, wave := range receipt.Plan.Waves {
		for _, p := range wave.Targets {
			found = append(found, p.Target.TargetRef)
		}
	}
	for _, r := range receipt.Plan.Refusals {
		found = append(found, r.Target)
	}
	if len(found) == 1 {
		return found[0], nil
	}
	wrong := &api.Error{
		Code: api.CodeInvalid, Message: fmt.Sprintf("-target is needed: the patch is for %s", view.Count(len(found), "target")),
	}
	for _, ref := range found {
		wrong.Details = append(wrong.Details, "-target="+ref.String())
	}
	return api.TargetRef{}, wrong
}

// awaitSimulation waits until a simulation has ended, through bad days. It reports each
// phase as it comes.
func awaitSimulation(ctx context.Context, e *command.Env, cl *client.Client, s api.Simulation, report func(*api.SimulationProgress)) (api.Simulation, error) {
	answered, index := e.Now(), uint64(0)
	var reported time.Time
	for s.Status == api.SimulationRunning {
		next, meta, err := cl.Simulation(ctx, s.ID, client.Query{Index: index, Wait: watchWait})
		switch {
		case err == nil:
			s, index, answered = next, meta.Index, e.Now()
			if s.Progress != nil && s.Progress.At.After(reported) {
				reported = s.Progress.At
				report(s.Progress)
			}
		case !passing(err) || e.Now().Sub(answered) > patience:
			return s, err
		default:
			if err := pause(ctx, retryEvery); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

func simulationResult(e *command.Env, c *command.Command, s api.Simulation) error {
	if err := e.Show(c.Out, s, func(w io.Writer) { view.Simulation(w, s) }); err != nil {
		return err
	}
	return simulationAnswer(s)
}

// simulationAnswer is no unless the patch passed: a pipeline must not take an
// inconclusive simulation for a pass.
func simulationAnswer(s api.Simulation) error {
	switch s.Status {
	case api.SimulationRejected, api.SimulationInconclusive:
		return command.No("")
	case api.SimulationFailed:
		return api.Errorf(api.CodeUnavailable, "the simulation could not be carried out: %s", s.Reason)
	case api.SimulationCancelled:
		return api.Errorf(api.CodeConflict, "the simulation was cancelled by %s", s.CancelledBy)
	case api.SimulationRunning, api.SimulationPassed:
	}
	return nil
}

// findSimulation reads a simulation by its ID or by the beginning of it.
func findSimulation(ctx context.Context, cl *client.Client, id string, q client.Query) (api.Simulation, error) {
	return find(ctx, id, "simulations", cl.Simulation, cl.Simulations, func(s api.Simulation) string { return s.ID }, q)
}

func simulationList(e *command.Env) *command.Command {
	c := command.New("simulation list", command.None(), "List the sandbox runs", `Lists all simulations, oldest first.`).
		Remote().Reads().Prints()
	c.Run = command.Listing(e, c, (*client.Client).Simulations, "No simulations.",
		[]string{"ID", "Patch", "Target", "Status", "Started", "Rollout"},
		func(s api.Simulation) []string {
			return []string{s.ID, s.Patch, s.Target.String(), string(s.Status), view.Stamp(s.Started), s.Rollout}
		})
	return c
}

func simulationRead(e *command.Env) *command.Command {
	c := command.New("simulation read", command.One("ID"), "Show what a simulation measured", `
Shows one simulation with the KPIs of both twins. The exit code is 2 when the
patch was rejected, or when the simulation could not decide, and 1 when it failed or
was cancelled. ID may be the beginning of an ID.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		s, err := findSimulation(ctx, cl, args[0], c.Query())
		if err != nil {
			return err
		}
		return simulationResult(e, c, s)
	})
	return c
}

func simulationCancel(e *command.Env) *command.Command {
	c := command.New("simulation cancel", command.One("ID"), "End a simulation that runs", `
Ends a simulation that a person asked for, and removes the machines and images that it
has made. That of a rollout ends with its rollout: see "oakum rollout abort".
ID may be the beginning of an ID.`).Remote().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		found, err := findSimulation(ctx, cl, args[0], client.Query{})
		if err != nil {
			return err
		}
		s, err := cl.CancelSimulation(ctx, found.ID)
		if err != nil {
			return err
		}
		return e.Show(c.Out, s, func(w io.Writer) { view.Simulation(w, s) })
	})
	return c
}
