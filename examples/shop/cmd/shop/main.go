// Command shop is everything that the example shop runs: its services, the
// sidecars that join them to Consul's mesh, and the load generator.
//
//	shop serve   one service
//	shop proxy   the sidecar of one service
//	shop load    the load generator
//
// Every flag can be given as an environment variable: SHOP_ and the flag's
// name in capitals, "-" written as "_".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/examples/shop/fault"
	"github.com/oakumhq/oakum/examples/shop/load"
	"github.com/oakumhq/oakum/examples/shop/sidecar"
	"github.com/oakumhq/oakum/examples/shop/workload"
)

const usage = "usage: shop serve|proxy|load [flags]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// One process of many on a small machine: a second thread would spin for work
	// that the first one has.
	runtime.GOMAXPROCS(1)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	flags := flag.NewFlagSet("shop "+args[0], flag.ContinueOnError)
	switch args[0] {
	case "serve":
		return serve(ctx, flags, args[1:], log)
	case "proxy":
		return proxy(ctx, flags, args[1:], log)
	case "load":
		return generate(ctx, flags, args[1:], log)
	}
	return fmt.Errorf("unknown command %q; %s", args[0], usage)
}

// parse reads the environment first, so that flags win over it.
func parse(flags *flag.FlagSet, args []string) error {
	var problems []error
	flags.VisitAll(func(f *flag.Flag) {
		name := "SHOP_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := os.LookupEnv(name); ok {
			if err := f.Value.Set(value); err != nil {
				problems = append(problems, fmt.Errorf("read %s: %w", name, err))
			}
		}
	})
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return flags.Parse(args)
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

func serve(ctx context.Context, flags *flag.FlagSet, args []string, log *slog.Logger) error {
	name := flags.String("name", "", "name of the service")
	version := flags.String("version", "1.0", "version that /version answers")
	address := flags.String("listen", "127.0.0.1:8080", "address to listen on")
	upstreams := flags.String("upstreams", "", "services that requests need: NAME[:SHARE]=http://HOST:PORT,...")
	faults := flags.String("faults", "", "what goes wrong, such as latency=30ms,errors=0.3;above_rps=8")
	scratch := flags.String("scratch", "", "folder on whose disk the disk fault writes; empty means the working directory")
	data := flags.String("data", "", "folder of the service's data; empty means that it has none")
	settle := flags.Duration("settle", 0, "how long /health says no after the start")
	if err := parse(flags, args); err != nil {
		return err
	}
	config := workload.Config{Name: *name, Version: *version, Scratch: *scratch, Settle: *settle}
	var err error
	if config.Upstreams, err = workload.ParseUpstreams(*upstreams); err != nil {
		return err
	}
	if config.Faults, err = fault.Parse(*faults); err != nil {
		return err
	}
	if err := workload.OpenData(*data, config.Faults.Format()); err != nil {
		return err
	}
	listener, err := listen(ctx, *address)
	if err != nil {
		return err
	}
	return workload.New(config, log).Run(ctx, listener)
}

func proxy(ctx context.Context, flags *flag.FlagSet, args []string, log *slog.Logger) error {
	alloc := flags.String("alloc", os.Getenv("NOMAD_ALLOC_ID"), "Nomad allocation ID")
	group := flags.String("group", os.Getenv("NOMAD_GROUP_NAME"), "Nomad task group")
	label := flags.String("port-label", "http", "label of the service's port")
	config := sidecar.Config{}
	flags.StringVar(&config.Service, "service", "", "Consul service name")
	flags.IntVar(&config.ServicePort, "service-port", 0, "port of the service")
	flags.IntVar(&config.ProxyPort, "proxy-port", 0, "port of the proxy")
	upstreams := flags.String("upstreams", "", "services to reach and the loopback ports to reach them on: NAME=PORT,...")
	flags.StringVar(&config.Statsd, "statsd", "", "host:port of a DogStatsD listener")
	flags.StringVar(&config.Consul, "consul", "http://127.0.0.1:8500", "address of the Consul agent")
	flags.StringVar(&config.Token, "consul-token", "", "Consul token that may register the service's proxy")
	flags.StringVar(&config.Binary, "consul-binary", "consul", "the consul executable")
	if err := parse(flags, args); err != nil {
		return err
	}
	if config.Service == "" || config.ServicePort == 0 || config.ProxyPort == 0 || *alloc == "" || *group == "" {
		return errors.New("shop proxy: -service, -service-port, -proxy-port, -alloc and -group are needed")
	}
	config.ServiceID = sidecar.NomadServiceID(*alloc, *group, config.Service, *label)
	config.Instance = *alloc
	config.Meta = map[string]string{"alloc_id": *alloc}
	var err error
	if config.Upstreams, err = sidecar.ParseUpstreams(*upstreams); err != nil {
		return err
	}
	return sidecar.Run(ctx, config, log)
}

func generate(ctx context.Context, flags *flag.FlagSet, args []string, log *slog.Logger) error {
	entries := flags.String("entries", "", "services to drive: SERVICE=REQUESTS_PER_SECOND,...")
	paths := flags.String("paths", "/item/1", "paths to ask for in turn")
	swing := flags.String("swing", "", "multiples of the rates between which the load swings, such as 0.5:3; empty means steady")
	address := flags.String("listen", "", "address that answers /metrics; empty means none")
	config := load.Config{}
	flags.StringVar(&config.Consul, "consul", "http://127.0.0.1:8500", "address of the Consul agent")
	flags.StringVar(&config.Token, "consul-token", "", "Consul token that may read the services")
	if err := parse(flags, args); err != nil {
		return err
	}
	var err error
	if config.Entries, err = load.ParseEntries(*entries); err != nil {
		return err
	}
	if config.Swing, err = load.ParseSwing(*swing); err != nil {
		return err
	}
	config.Paths = strings.Split(*paths, ",")
	generator := load.New(config, log)
	if *address == "" {
		generator.Run(ctx)
		return nil
	}
	listener, err := listen(ctx, *address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", generator.Metrics())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	generator.Run(ctx)
	_ = server.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
