// Package sdk is what the author of a strategy plugin needs. A plugin is a
// program whose main function calls [Serve] with a [Strategy]:
//
//	func main() { sdk.Serve(myStrategy{}) }
//
// A strategy advises and performs nothing. The host asks it when the present
// stage of a rollout is settled, checks what it proposes against policy and
// budget, and carries it out. A strategy must answer the same for the same view
// (it may be asked again after a leader change, by another server), must not
// keep anything between calls, and must give up when its context ends.
//
// Standard output belongs to the protocol. Write what a person should read to
// standard error: the host puts it in its log.
package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/internal/wire"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
)

// Protocol is the version of the plugin protocol that this SDK speaks.
const Protocol = 1

// PluginName is the name under which a strategy is dispensed.
const PluginName = "strategy"

// Description is what a strategy says about itself.
type Description struct {
	Name    string // as policies write it: strategy "NAME" { ... }
	Version string
	Schema  api.ConfigSchema // attributes of its policy block, sorted by name
}

// Strategy decides what comes next in a rollout.
type Strategy interface {
	// Describe must answer the same throughout the life of the process.
	Describe() Description
	// Advise proposes the next step. An error makes the rollout hold; use an
	// *api.Error with api.CodeInvalid for a configuration that can't work.
	Advise(ctx context.Context, view api.StrategyView) (api.Advice, error)
}

// Handshake is the agreement between host and plugin. The cookie is no secret:
// it only lets the plugin explain itself to a person who starts it by hand.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  Protocol,
		MagicCookieKey:   "OAKUM_STRATEGY_PLUGIN",
		MagicCookieValue: "4cbf0a3e-caulk",
	}
}

// Serve runs a strategy as a plugin process. It returns when the host ends the
// connection.
func Serve(s Strategy) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{
			Protocol: {PluginName: &servePlugin{strategy: s}},
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			// A view of the largest target is tens of megabytes; grpc's default is 4 MiB.
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(math.MaxInt32))...)
		},
		// The host reads levels from JSON lines on standard error.
		Logger: hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true, Level: hclog.Warn}),
	})
}

// Register adds a strategy to a gRPC server, which is how a host serves the
// ones that it has built in.
func Register(r grpc.ServiceRegistrar, s Strategy) {
	v1.RegisterStrategyServer(r, &service{strategy: s})
}

// DecodeConfig reads a strategy's configuration into a struct that already
// holds the defaults. Unknown attributes are an error.
func DecodeConfig(config json.RawMessage, into any) error {
	if len(bytes.TrimSpace(config)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return api.Errorf(api.CodeInvalid, "read strategy configuration: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return api.Errorf(api.CodeInvalid, "read strategy configuration: more than one JSON value")
	}
	return nil
}

// servePlugin is the plugin's end of go-plugin's gRPC contract. Embedding
// NetRPCUnsupportedPlugin refuses the older transport.
type servePlugin struct {
	plugin.NetRPCUnsupportedPlugin
	strategy Strategy
}

var _ plugin.GRPCPlugin = (*servePlugin)(nil)

// GRPCServer registers the strategy.
func (p *servePlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	Register(s, p.strategy)
	return nil
}

// GRPCClient refuses: a plugin is no host.
func (p *servePlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("dispense strategy: this end only serves")
}

// service answers the protocol from a Strategy.
type service struct {
	v1.UnimplementedStrategyServer
	strategy Strategy
}

// Describe answers with the strategy's description.
func (s *service) Describe(context.Context, *v1.DescribeRequest) (_ *v1.DescribeResponse, err error) {
	defer recovered("describe", &err)
	d := s.strategy.Describe()
	return &v1.DescribeResponse{Name: d.Name, Version: d.Version, Protocol: Protocol, Schema: wire.FromSchema(d.Schema)}, nil
}

// Advise asks the strategy.
func (s *service) Advise(ctx context.Context, req *v1.AdviseRequest) (_ *v1.AdviseResponse, err error) {
	defer recovered("advise", &err)
	advice, err := s.strategy.Advise(ctx, wire.ToView(req.GetView()))
	if err != nil {
		return nil, statusOf(err)
	}
	return &v1.AdviseResponse{Advice: wire.FromAdvice(advice)}, nil
}

// recovered turns a panic of the strategy into an error of this one call: a
// built-in must not take the daemon down, and a plugin's author wants to see
// where it was.
func recovered(verb string, err *error) {
	if p := recover(); p != nil {
		hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true}).
			Error("strategy panicked", "panic", p, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "%s: strategy panicked: %v", verb, p)
	}
}

// statusOf carries an error across gRPC as a code, not by text.
func statusOf(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return status.FromContextError(err).Err()
	}
	if known, ok := errors.AsType[*api.Error](err); ok && known.Code == api.CodeInvalid {
		return status.Error(codes.InvalidArgument, known.Error())
	}
	return status.Error(codes.Unknown, err.Error())
}
