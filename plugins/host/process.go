package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/oakumhq/oakum/api"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// process is one run of a plugin binary.
type process struct {
	plugin *plugin.Client
	client v1.StrategyClient
	end    context.CancelFunc // kills the operating system's process
	dir    string             // of its socket
	once   sync.Once
}

// launch starts a binary whose checksum must match, and asks it for its
// description. It gives up, and leaves nothing behind, after the start timeout
// or when ctx ends.
func launch(ctx context.Context, path string, checksum []byte, o Options, logger *slog.Logger) (*process, api.PluginInfo, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.StartTimeout, errHung)
	defer cancel()
	dir, err := os.MkdirTemp("", "oakum-plugin-")
	if err != nil {
		return nil, api.PluginInfo{}, fmt.Errorf("make socket directory: %w", err)
	}

	// The process outlives this call. A context of its own can kill it at any
	// time, also while go-plugin holds its lock.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(life, path)
	cmd.Env = []string{"PATH=/usr/bin:/bin", plugin.EnvUnixSocketDir + "=" + dir}
	dieWithHost(cmd)
	p := &process{end: end, dir: dir}
	p.plugin = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: sdk.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{
			sdk.Protocol: {sdk.PluginName: &clientPlugin{}},
		},
		Cmd:              cmd,
		SecureConfig:     &plugin.SecureConfig{Checksum: checksum, Hash: sha256.New()},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     o.StartTimeout,
		Stderr:           io.Discard, // the logger has it
		Logger:           newHCLog(logger),
		GRPCDialOptions:  []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerMax))},
	})

	// go-plugin's start knows no context: end the process under it instead.
	stop := context.AfterFunc(ctx, end)
	info, err := p.dispense(ctx)
	if !stop() && err == nil {
		err = api.Errorf(api.CodeTimeout, "%v", context.Cause(ctx))
	}
	if err != nil {
		return nil, api.PluginInfo{}, errors.Join(startError(ctx, path, err), p.kill())
	}
	return p, info, nil
}

// dispense connects and asks for the description.
func (p *process) dispense(ctx context.Context) (api.PluginInfo, error) {
	protocol, err := p.plugin.Client()
	if err != nil {
		return api.PluginInfo{}, err
	}
	dispensed, err := protocol.Dispense(sdk.PluginName)
	if err != nil {
		return api.PluginInfo{}, fmt.Errorf("dispense: %w", err)
	}
	client, ok := dispensed.(v1.StrategyClient)
	if !ok {
		return api.PluginInfo{}, fmt.Errorf("dispense: got a %T", dispensed)
	}
	p.client = client
	return describe(ctx, client)
}

// startError says in one sentence why a binary doesn't serve.
func startError(ctx context.Context, path string, err error) error {
	switch {
	case errors.Is(err, plugin.ErrChecksumsDoNotMatch):
		return api.Errorf(api.CodeInvalid, "checksum of %s is not the pinned one: it is not started", path)
	case errors.Is(context.Cause(ctx), errHung):
		return api.Errorf(api.CodeTimeout, "start %s: it did not answer in time", path)
	}
	if known, ok := errors.AsType[*api.Error](err); ok {
		return api.Errorf(known.Code, "start %s: %s", path, known.Message)
	}
	return api.Errorf(api.CodeUnavailable, "start %s: %v", path, err)
}

// exited reports whether the process has ended.
func (p *process) exited() bool { return p.plugin.Exited() }

// kill ends the process, if it still runs, and waits for what belongs to it. A
// strategy keeps nothing, so there is nothing to ask it to finish.
func (p *process) kill() error {
	var err error
	p.once.Do(func() {
		p.end()
		p.plugin.Kill()
		if e := os.RemoveAll(p.dir); e != nil {
			err = fmt.Errorf("remove socket directory: %w", e)
		}
	})
	return err
}

// clientPlugin is the host's end of go-plugin's gRPC contract.
type clientPlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

var _ plugin.GRPCPlugin = (*clientPlugin)(nil)

// GRPCServer refuses: a host serves nothing to a plugin.
func (*clientPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("serve strategy: this end only asks")
}

// GRPCClient answers with the protocol's client.
func (*clientPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return v1.NewStrategyClient(conn), nil
}
