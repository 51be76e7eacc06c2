package cli

import (
	"context"
	"flag"
	"strings"
	"time"

	"github.com/hashicorp/cli"
	"github.com/posener/complete"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

// completeWait is how long a shell waits for a server that is asked for names.
const completeWait = 2 * time.Second

// lister asks a server for the names of what it has.
type lister func(context.Context, *client.Client) ([]string, error)

// listers are by the family of a command and the argument that its usage shows.
func listers() map[string]lister {
	return map[string]lister{
		"rollout ID": func(ctx context.Context, cl *client.Client) ([]string, error) {
			return listed(ctx, cl.Rollouts, func(r api.Rollout) string { return r.ID })
		},
		"simulation ID": func(ctx context.Context, cl *client.Client) ([]string, error) {
			return listed(ctx, cl.Simulations, func(s api.Simulation) string { return s.ID })
		},
		"patch NAME": func(ctx context.Context, cl *client.Client) ([]string, error) {
			return listed(ctx, cl.Patches, func(p api.Patch) string { return p.Name })
		},
		"policy NAME": func(ctx context.Context, cl *client.Client) ([]string, error) {
			return listed(ctx, cl.Policies, func(p api.Policy) string { return p.Name })
		},
		"profile TARGET": func(ctx context.Context, cl *client.Client) ([]string, error) {
			return listed(ctx, cl.Profiles, func(p api.Profile) string { return p.Target.String() })
		},
		"graph SERVICE": func(ctx context.Context, cl *client.Client) ([]string, error) {
			graph, _, err := cl.Graph(ctx, client.Query{Stale: true})
			var out []string
			for _, s := range graph.Services {
				out = append(out, s.Name)
			}
			return out, err
		},
	}
}

func listed[T any](ctx context.Context, list func(context.Context, client.Query) ([]T, client.Meta, error), name func(T) string) ([]string, error) {
	all, _, err := list(ctx, client.Query{Stale: true})
	var out []string
	for _, one := range all {
		out = append(out, name(one))
	}
	return out, err
}

var _ cli.CommandAutocomplete = (*bound)(nil)

// AutocompleteFlags predicts the flags of the command.
func (b *bound) AutocompleteFlags() complete.Flags {
	flags := complete.Flags{}
	b.cmd.Flags.VisitAll(func(f *flag.Flag) {
		value, _ := flag.UnquoteUsage(f)
		switch strings.ToLower(value) {
		case "":
			flags["-"+f.Name] = complete.PredictNothing
		case "path", "file", "directory":
			flags["-"+f.Name] = complete.PredictFiles("*")
		default:
			flags["-"+f.Name] = complete.PredictAnything
		}
	})
	return flags
}

// AutocompleteArgs predicts files where the command takes files, and what the server
// of the environment knows where it takes a name. A server that does not answer
// predicts nothing.
func (b *bound) AutocompleteArgs() complete.Predictor {
	takes := b.cmd.Takes()
	if strings.Contains(takes, "FILE") || strings.Contains(takes, "PATH") {
		return complete.PredictFiles("*")
	}
	family, _, _ := strings.Cut(b.cmd.Name, " ")
	for _, argument := range strings.FieldsFunc(takes, func(r rune) bool { return strings.ContainsRune(" []", r) }) {
		if list := listers()[family+" "+argument]; list != nil {
			return complete.PredictFunc(func(complete.Args) []string { return b.known(list) })
		}
	}
	return complete.PredictNothing
}

func (b *bound) known(list lister) []string {
	cl, err := b.cmd.Dial(b.env)
	if err != nil {
		return nil
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(b.ctx, completeWait)
	defer cancel()
	found, err := list(ctx, cl)
	if err != nil {
		return nil
	}
	return found
}
