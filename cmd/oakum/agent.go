package main

import (
	"cmp"
	"context"
	"os"

	"github.com/oakumhq/oakum/internal/cli"
	"github.com/oakumhq/oakum/internal/log"
	"github.com/oakumhq/oakum/server"
	"github.com/oakumhq/oakum/server/config"
)

// runAgent runs a server until ctx ends.
func runAgent(ctx context.Context, opt cli.AgentOptions) error {
	cfg, err := config.Load(opt.Config, opt.Dev, os.Getenv)
	if err != nil {
		return err
	}
	logger, err := log.New(opt.Stderr, cmp.Or(opt.LogLevel, cfg.Log.Level), cfg.Log.Format)
	if err != nil {
		return err
	}
	return server.New(cfg, opt.Version, logger).Run(ctx)
}
