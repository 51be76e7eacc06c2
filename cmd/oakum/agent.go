package main

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/oakumhq/oakum/internal/access/authtest"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/log"
	"github.com/oakumhq/oakum/server"
	"github.com/oakumhq/oakum/server/config"
)

// runAgent runs a server until ctx ends. On SIGHUP the server reads its
// certificates again.
func runAgent(ctx context.Context, opt command.AgentOptions) error {
	cfg, err := config.Load(opt.Config, opt.Dev, os.Getenv)
	if err != nil {
		return err
	}
	logger, err := log.New(opt.Stderr, cmp.Or(opt.LogLevel, cfg.Log.Level), cfg.Log.Format)
	if err != nil {
		return err
	}
	srv := server.New(cfg, opt.Version, logger)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ended := make(chan struct{})
	var reloads sync.WaitGroup
	defer reloads.Wait()
	defer close(ended)
	reloads.Go(func() {
		for {
			select {
			case <-hangups:
				_ = srv.Reload() // the log says what was refused
			case <-ended:
				return
			}
		}
	})
	return srv.Run(ctx, report)
}

// report tells a service manager, if there is one, that the server answers or stops. A
// manager that can't be told finds out by itself.
func report(s server.Stage) {
	what := map[server.Stage]string{server.Answering: daemon.SdNotifyReady, server.Stopping: daemon.SdNotifyStopping}
	_, _ = daemon.SdNotify(false, what[s])
}

// readRules reads the auth rules of a configuration, which must be one that a server runs
// with.
func readRules(paths []string) (authtest.Rules, error) {
	cfg, err := config.Load(paths, false, os.Getenv)
	if err != nil {
		return nil, err
	}
	return cfg.Auth.Rules, nil
}
