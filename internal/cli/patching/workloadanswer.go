package patching

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/internal/workload/stub"
)

func workloadAnswer(e *command.Env) *command.Command {
	c := command.New("workload answer", command.Many("ADDRESS=FILE"), "Answer in a twin for the services that it calls", `
Listens at each loopback address and gives the answers of its file, until it is
interrupted. Simulations of containers and programs run this command in the twin's own
network namespace, for the stubs of the policy. A stub has the name of its file.

A request that no answer fits is answered 501, and counted in the report.

    $ oakum workload answer -out=report.json 127.0.0.1:9091=pricing.ndjson`)
	out := c.Flags.String("out", "", "The `file` that always has the report. Default: none.")
	c.Run = func(ctx context.Context, args []string) error {
		report, err := stub.NewReport(stub.File(*out))
		if err != nil {
			return err
		}
		services := make([]stub.Service, len(args))
		for i, arg := range args {
			if services[i], err = stubbed(arg); err != nil {
				return err
			}
		}
		servers, err := stub.Listen(ctx, services, report)
		if err != nil {
			return err
		}
		for _, s := range servers {
			e.Warnf("Answering at http://%s for %s.\n", s.Addr(), s.Name)
		}
		return stub.Serve(ctx, servers, report)
	}
	return c
}

// stubbed reads the service of an argument, with its answers.
func stubbed(arg string) (stub.Service, error) {
	address, file, ok := strings.Cut(arg, "=")
	if !ok {
		return stub.Service{}, command.Usage("%q: want a loopback address and a file, such as 127.0.0.1:9091=pricing.ndjson", arg)
	}
	text, err := input.Limited(file)
	if err != nil {
		return stub.Service{}, err
	}
	answers, err := workload.ParseAnswers(file, []byte(text))
	return stub.Service{Name: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), Address: address, Answers: answers}, err
}
