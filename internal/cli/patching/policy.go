package patching

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/policies"
)

// Endings of the language's files.
const (
	policySuffix = ".hcl"
	testSuffix   = ".policytest.hcl"
)

func policyValidate(e *command.Env) *command.Command {
	c := command.New("policy validate", command.Many("FILE"), "Check policy files", `
Checks policy files without applying them: syntax, names, types, and what the
strategies accept. A directory means its *.hcl files. This works offline, with
the built-in strategies; name further ones with -plugin. With -remote a server
checks them, with the strategies that it has.`).Remote().Prints()
	remote := c.Flags.Bool("remote", false, "Let the server check the files.")
	plugins := c.PluginFlag()
	c.Run = func(ctx context.Context, args []string) error {
		files, err := readPolicies(e, args)
		if err != nil {
			return err
		}
		if *remote {
			err = validateRemotely(ctx, e, c, files)
		} else {
			err = validateLocally(ctx, files, *plugins)
		}
		if err != nil {
			return err
		}
		return e.Show(c.Out, map[string]any{"Valid": true, "Files": len(files)}, func(w io.Writer) {
			for _, f := range files {
				fmt.Fprintf(w, "%s: valid\n", f.Name)
			}
		})
	}
	return c
}

func readPolicies(e *command.Env, paths []string) ([]api.SourceFile, error) {
	paths, err := input.Expand(paths, policySuffix, testSuffix)
	if err != nil {
		return nil, err
	}
	files := make([]api.SourceFile, len(paths))
	for i, path := range paths {
		if files[i], err = input.WithFiles(path, e.Stdin); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// validateLocally checks all files and reports all mistakes at once.
func validateLocally(ctx context.Context, files []api.SourceFile, plugins []string) error {
	schemas, stop, err := strategies(ctx, plugins)
	if err != nil {
		return err
	}
	defer stop()
	_, diags := policies.Load(files, schemas)
	if wrong := policies.DiagnosticsError(diags, files); wrong != nil {
		return wrong
	}
	return nil
}

func validateRemotely(ctx context.Context, e *command.Env, c *command.Command, files []api.SourceFile) error {
	cl, err := c.Dial(e)
	if err != nil {
		return err
	}
	defer cl.Close()
	for _, f := range files {
		if err := cl.ValidatePolicy(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func policyFmt(e *command.Env) *command.Command {
	c := command.New("policy fmt", command.Many("FILE"), "Write files in the canonical form", `
Rewrites policy, policy test and patch files in the canonical form, and names
those that changed. A directory means its *.hcl files; "-" formats standard
input to standard output.

With -check nothing is written, and the exit code is 2 when a file is not in
the canonical form.`)
	check := c.Flags.Bool("check", false, "Only name the files that would change.")
	c.Run = func(ctx context.Context, args []string) error {
		paths, err := input.Expand(args, policySuffix, "")
		if err != nil {
			return err
		}
		changed := 0
		for _, path := range paths {
			differs, err := format(ctx, e, path, *check)
			if err != nil {
				return err
			}
			if differs {
				changed++
			}
		}
		if *check && changed > 0 {
			return command.No("%s not in the canonical form.", view.Count(changed, "file"))
		}
		return nil
	}
	return c
}

// format formats one file and reports whether it was different.
func format(ctx context.Context, e *command.Env, path string, check bool) (bool, error) {
	file, err := input.UnlessInterrupted(ctx, func() (api.SourceFile, error) { return input.Source(path, e.Stdin) })
	if err != nil {
		return false, err
	}
	text, diags := policies.Format(file)
	if wrong := policies.DiagnosticsError(diags, []api.SourceFile{file}); wrong != nil {
		return false, wrong
	}
	differs := text != file.Text
	switch {
	case path == "-":
		if !check {
			e.Printf("%s", text)
		}
		return differs, nil
	case !differs:
		return false, nil
	}
	e.Printf("%s\n", path)
	if check {
		return true, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("write file: %w", err)
	}
	err = input.Replace(path, func(w io.Writer) error {
		if _, err := io.WriteString(w, text); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		if f, ok := w.(*os.File); ok {
			return f.Chmod(info.Mode().Perm())
		}
		return nil
	})
	return true, err
}

func policyApply(e *command.Env) *command.Command {
	c := command.New("policy apply", command.Many("FILE"), "Apply policy files", `
Checks policy files and stores them in the cluster. A policy has the name of its
file; applying a file of the same name again replaces it. When one file is wrong,
it and those after it are not applied; a directory means its *.hcl files.`).Remote().Prints()
	c.Run = func(ctx context.Context, args []string) error {
		files, err := readPolicies(e, args)
		if err != nil {
			return err
		}
		cl, err := c.Dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		if len(files) > 1 { // nothing is applied when one of them is wrong
			for _, f := range files {
				if err := cl.ValidatePolicy(ctx, f); err != nil {
					return err
				}
			}
		}
		applied := []api.Policy{}
		for _, f := range files {
			p, err := cl.ApplyPolicy(ctx, f)
			if err != nil {
				return err
			}
			applied = append(applied, p)
		}
		return e.Show(c.Out, applied, func(w io.Writer) {
			for _, p := range applied {
				fmt.Fprintf(w, "Applied %s (%s)\n", p.Name, policyBlocks(p))
			}
		})
	}
	return c
}

// policyBlocks says which policy blocks a file has. A file of exceptions or dependencies
// has none.
func policyBlocks(p api.Policy) string {
	if len(p.Blocks) == 0 {
		return "no policy block"
	}
	return view.Count(len(p.Blocks), "policy block") + ": " + strings.Join(p.Blocks, ", ")
}

func policyList(e *command.Env) *command.Command {
	c := command.New("policy list", command.None(), "List the policies", `Lists the policies, the built-in one included.`).
		Remote().Reads().Prints()
	c.Run = command.Listing(e, c, (*client.Client).Policies, "No policies.",
		[]string{"Name", "Blocks", "Applied", "By"},
		func(p api.Policy) []string {
			applied := view.Stamp(p.AppliedAt)
			if p.Builtin {
				applied = "built in"
			}
			return []string{p.Name, strings.Join(p.Blocks, " "), applied, p.AppliedBy}
		})
	return c
}

func policyRead(e *command.Env) *command.Command {
	c := command.New("policy read", command.One("NAME"), "Print a policy", `
Prints a policy file as it was applied. With -version it is one of the versions that
"oakum policy history" lists.`).Remote().Reads().Prints()
	version := versionFlag(c)
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		p, err := policyOf(ctx, cl, c, args[0], *version)
		if err != nil {
			return err
		}
		return e.Show(c.Out, p, func(w io.Writer) { fmt.Fprint(w, p.File.Text) })
	})
	return c
}

func policyDelete(e *command.Env) *command.Command {
	c := command.New("policy delete", command.One("NAME"), "Remove a policy", `
Removes a policy. Rollouts under way keep what was decided when they began.`).Remote()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if err := cl.DeletePolicy(ctx, args[0]); err != nil {
			return err
		}
		e.Printf("Deleted %s.\n", args[0])
		return nil
	})
	return c
}
