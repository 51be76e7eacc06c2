package patching

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/rehearsal"
	"github.com/oakumhq/oakum/policies"
)

// factsMax bounds a file of facts. The facts of 20,000 targets with profiles take
// a third of it.
const factsMax = 1 << 30

// rehearseFlags are what the command line says.
type rehearseFlags struct {
	export, from, at string
	policies         []string
	plugins          *[]string
	options          rehearsal.Options
}

func patchRehearse(e *command.Env) *command.Command {
	c := command.New("patch rehearse", command.Opt("FILE"), "Play a patch's plan in a model of the fleet", `
Plays the plan of a patch against a model of your own fleet, made from what Oakum
knows of it, in virtual time and with many seeds. Tells when each wave would
start and end, what would wait for people, how probable it is that a harmless
patch is turned back or held, and how many instances and requests a bad one would
reach before it is turned back. Nothing is changed, and the model runs in this
command, not in the server.

The facts come from the server, or from a file that -export wrote: with -from
nothing is contacted. Policies of the facts are in force; files of -policy take
the place of those of the same names, or stand beside them.

    $ oakum patch rehearse openssl.hcl
    $ oakum patch rehearse -export fleet.json
    $ oakum patch rehearse -from fleet.json -policy policies/ openssl.hcl

The exit code is 2 when the patch may not go to any target.`).Remote().Prints()
	f := &rehearseFlags{}
	c.Flags.StringVar(&f.export, "export", "", "Write the facts of the fleet to this `file`; without FILE that is all.")
	c.Flags.StringVar(&f.from, "from", "", "Read the facts from this `file` instead of asking the server.")
	c.Flags.Var((*command.List)(&f.policies), "policy", "`Path` of a policy file, or of a directory of them. May be given several times.")
	c.Flags.IntVar(&f.options.Seeds, "seeds", rehearsal.DefaultSeeds, "How many `plays` there are of each kind of patch. Default: 100.")
	c.Flags.Uint64Var(&f.options.Seed, "seed", 0, "The first `seed`. The same one gives the same report. Default: 0.")
	c.Flags.StringVar(&f.at, "at", "", "The `time` at which the patch is submitted, such as 2026-12-01T22:00:00Z. Default: that of the facts.")
	c.Flags.DurationVar(&f.options.People, "people", rehearsal.DefaultPeople, "The `time` that people take to answer what Oakum asks them. Default: 1h.")
	c.Flags.DurationVar(&f.options.Healthy, "healthy-after", rehearsal.DefaultHealthy,
		"The `time` until an instance is healthy, where Oakum has seen none. Default: 30s.")
	f.plugins = c.PluginFlag()
	c.Run = func(ctx context.Context, args []string) error { return rehearse(ctx, e, c, f, args) }
	return c
}

func rehearse(ctx context.Context, e *command.Env, c *command.Command, f *rehearseFlags, args []string) error {
	switch {
	case len(args) == 0 && f.export == "":
		return command.Usage("this command needs: FILE, or -export")
	case f.export != "" && f.from != "":
		return command.Usage("-export and -from: give one of them")
	case f.from == "" && given(c.Flags, "from"):
		return command.Usage("-from: want a file, and have no name") // asking a server would not be offline
	}
	patch, err := input.UnlessInterrupted(ctx, func() (*api.Patch, error) { return rehearsed(e, f, args) })
	if err != nil {
		return err
	}
	facts, err := facts(ctx, e, c, f)
	if err != nil {
		return err
	}
	if f.export != "" {
		if err := writeFacts(f.export, facts); err != nil {
			return err
		}
		if patch == nil {
			e.Warnf("Wrote the facts of %s to %s.\n", view.Count(len(facts.Targets), "target"), f.export)
			return nil
		}
	}
	h, err := asked(ctx, *f.plugins)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }() // its processes hold nothing
	f.options.Plugins = h
	defer debug.SetGCPercent(debug.SetGCPercent(rehearsal.Collect))
	report, err := rehearsal.Run(ctx, facts, *patch, f.options)
	if err != nil {
		return err
	}
	if err := e.Show(c.Out, report, func(w io.Writer) { view.Rehearsal(w, report) }); err != nil {
		return err
	}
	if len(report.Waves) == 0 {
		return command.No("The patch may not go to any target.")
	}
	return nil
}

// playable is the error of the flags that rehearse and when have in common.
func playable(o *rehearsal.Options) error {
	switch {
	case o.Seeds < 1:
		return command.Usage("-seeds %d: want at least 1", o.Seeds)
	case o.People <= 0:
		return command.Usage("-people %s: want more than nothing, such as 1h", o.People)
	case o.Healthy <= 0:
		return command.Usage("-healthy-after %s: want more than nothing, such as 30s", o.Healthy)
	}
	return nil
}

// rehearsed reads what stands on the command line beside the facts, the patch
// before anything is contacted; it is nil when only an export is asked for.
func rehearsed(e *command.Env, f *rehearseFlags, args []string) (*api.Patch, error) {
	o := &f.options
	if err := playable(o); err != nil {
		return nil, err
	}
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return nil, command.Usage("-at %q: want a time such as 2026-12-01T22:00:00Z", f.at)
		}
		o.At = at
	}
	if len(f.policies) > 0 {
		files, err := readPolicies(e, f.policies)
		if err != nil {
			return nil, err
		}
		o.Policies = files
	}
	if len(args) == 0 {
		return nil, nil //nolint:nilnil // no patch is no error here
	}
	file, err := input.WithFiles(args[0], e.Stdin)
	if err != nil {
		return nil, err
	}
	patch, diags := policies.ParsePatch(file)
	if diags.HasErrors() {
		return nil, policies.DiagnosticsError(diags, []api.SourceFile{file})
	}
	return &patch, nil
}

// facts reads or asks for what is known of the fleet.
func facts(ctx context.Context, e *command.Env, c *command.Command, f *rehearseFlags) (api.FleetFacts, error) {
	if f.from != "" {
		return readFacts(f.from)
	}
	cl, err := c.Dial(e)
	if err != nil {
		return api.FleetFacts{}, err
	}
	defer cl.Close()
	return cl.Facts(ctx)
}

func readFacts(path string) (api.FleetFacts, error) {
	var facts api.FleetFacts
	file, err := os.Open(path)
	if err != nil {
		return facts, api.Errorf(api.CodeInvalid, "read facts: %s", input.Cause(err))
	}
	defer file.Close() //nolint:errcheck // it is only read
	if err := json.NewDecoder(io.LimitReader(file, factsMax)).Decode(&facts); err != nil {
		return facts, api.Errorf(api.CodeInvalid, "read facts: %s: %v; want a file that -export wrote", path, err)
	}
	if facts.Format != api.FleetFactsFormat {
		return facts, api.Errorf(api.CodeInvalid, "read facts: %s has format %d, and this version reads %d; export it anew",
			path, facts.Format, api.FleetFactsFormat)
	}
	return facts, nil
}

// writeFacts replaces the file as a whole, so that nobody reads half of it. It
// writes into anything that is no regular file, such as /dev/stdout.
func writeFacts(path string, facts api.FleetFacts) error {
	text, err := json.MarshalIndent(facts, "", " ")
	if err != nil {
		return fmt.Errorf("encode facts: %w", err)
	}
	text = append(text, '\n')
	if info, there := os.Stat(path); there == nil && !info.Mode().IsRegular() {
		err = os.WriteFile(path, text, 0o600)
	} else {
		err = input.Replace(path, func(w io.Writer) error { _, err := w.Write(text); return err })
	}
	if err != nil {
		return api.Errorf(api.CodeInvalid, "write facts: %s", input.Cause(err))
	}
	return nil
}

// given reports whether a flag stands on the command line.
func given(flags *flag.FlagSet, name string) (yes bool) {
	flags.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}
