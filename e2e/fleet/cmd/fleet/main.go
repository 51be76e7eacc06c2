// Command fleet serves Nomad, Consul and Prometheus of a fleet in memory that a
// file describes, so that an unchanged "oakum agent" runs against it. Nothing in
// it is real: no task runs, and whoever asks is answered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/oakumhq/oakum/e2e/fleet"
)

const usage = `Usage: fleet [options] FILE

Serves the APIs of Nomad, Consul and Prometheus of the fleet that FILE describes,
until it is interrupted. Addresses are printed as shell exports.

Options:
  -nomad=ADDRESS        host:port; port 0 is any free one (default 127.0.0.1:4646)
  -consul=ADDRESS       (default 127.0.0.1:8500)
  -prometheus=ADDRESS   (default 127.0.0.1:9090)
  -issuer=ADDRESS       of identity tokens in Vault's place (default 127.0.0.1:0)
`

// audience is whom the issuer's tokens are for, as the demo's servers expect it.
const audience = "oakum"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "fleet: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out, help io.Writer) error {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.Usage = func() { _, _ = io.WriteString(help, usage) }
	var at fleet.Addresses
	flags.StringVar(&at.Nomad, "nomad", "127.0.0.1:4646", "")
	flags.StringVar(&at.Consul, "consul", "127.0.0.1:8500", "")
	flags.StringVar(&at.Prometheus, "prometheus", "127.0.0.1:9090", "")
	flags.StringVar(&at.Issuer, "issuer", "127.0.0.1:0", "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() != 1:
		flags.Usage()
		return fmt.Errorf("want one file that describes the fleet, have %d", flags.NArg())
	}
	description, err := fleet.Describe(flags.Arg(0))
	if err != nil {
		return err
	}
	served, err := fleet.Serve(ctx, description, at, audience)
	if err != nil {
		return err
	}
	// A shell can read this while the program goes on.
	_, err = fmt.Fprintf(out, "export NOMAD_ADDR=%s\nexport CONSUL_HTTP_ADDR=%s\nexport PROMETHEUS_ADDR=%s\nexport OIDC_ISSUER=%s\n# A model of %d services; interrupt to end it.\n",
		served.NomadURL, served.ConsulURL, served.PrometheusURL, served.IssuerURL, len(description.Services))
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, served.Close())
}
