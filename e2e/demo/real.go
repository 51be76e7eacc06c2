package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/examples/shop/deploy"
)

// shopTimeout bounds the start of the shop: half a minute on two idle cores, and
// a machine that takes thirty times as long will not do.
const shopTimeout = 15 * time.Minute

// realStack is the shop on Nomad, Consul, Vault, Prometheus and QEMU.
type realStack struct {
	dir   string
	stack *stack.Stack
	env   stack.Env
}

// Open brings up the stack and the shop.
func (r *realStack) Open(ctx context.Context, t *narrator) (o daemon.Options, env stack.Env, err error) {
	if r.dir, err = os.MkdirTemp("", "oakum-demo-"); err != nil {
		return o, env, fmt.Errorf("make a folder: %w", err)
	}
	t.chapter("The stack: Nomad, Consul, Vault, Prometheus and QEMU on loopback")
	r.stack, err = stack.Up(ctx, stack.Options{
		Dir: r.dir, BinDir: filepath.Join(t.root, ".stack", "bin"), PortOffset: stack.AnyOffset, Clients: 1, Bound: true, Log: indented{},
	})
	if err != nil {
		return o, env, err
	}
	r.env = r.stack.Env()
	if err := r.openShop(ctx, t); err != nil {
		return o, env, err
	}
	t.chapter("Three Oakum servers, which get their Nomad and Consul tokens by way of Vault")
	paces := daemon.StackPaces()
	paces.Rate = deploy.SandboxRate
	return daemon.Options{Dir: filepath.Join(r.dir, "oakum"), Host: daemon.Loopback(r.stack.Offset()), Paces: paces}, r.env, nil
}

func (r *realStack) openShop(ctx context.Context, t *narrator) error {
	t.chapter("A shop to patch: six services in Consul's mesh, ten instances of catalog, three VMs of store")
	shop, err := deploy.FromVariables(func(name string) string { return r.env.Map()[name] }, t.root)
	if err != nil {
		return err
	}
	if t.patches, err = deploy.RenderPatches(shop, t.root, filepath.Join(r.dir, "patches")); err != nil {
		return err
	}
	wait := r.env.KeepIntentionsFresh(ctx, "front", "backoffice", "catalog", "cart", "pricing", "store")
	_ = wait // it ends with the context, when the demo does
	ctx, cancel := context.WithTimeout(ctx, shopTimeout)
	defer cancel()
	return deploy.Up(ctx, shop, slog.New(slog.NewTextHandler(indented{}, &slog.HandlerOptions{ReplaceAttr: terse})))
}

// Policy is patient with a small machine that runs everything at once.
func (r *realStack) Policy() string { return "policies/shop.hcl" }

// Scenes follow each other: two cores carry one simulation at a time.
func (r *realStack) Scenes(t *narrator) []scene {
	return []scene{
		{"graph", t.graph}, {"good", t.good}, {"green", t.green}, {"rejected", t.rejected}, {"load", t.load}, {"leader", t.leader},
	}
}

// Graph shows all of a small graph.
func (r *realStack) Graph() [][]string {
	return [][]string{{"graph", "show"}, {"graph", "impact", "store"}}
}

// Tokens come from Vault.
func (r *realStack) Tokens(ctx context.Context) (pipeline, manager string, err error) {
	if pipeline, err = daemon.PipelineToken(ctx, r.env); err != nil {
		return "", "", err
	}
	manager, err = daemon.UserToken(ctx, r.env, "alice", r.env.AlicePasswordFile)
	return pipeline, manager, err
}

// Close ends the stack.
func (r *realStack) Close(ctx context.Context, t *narrator) error {
	var err error
	if r.stack != nil {
		t.chapter("Taking everything down")
		err = r.stack.Down(ctx)
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}
