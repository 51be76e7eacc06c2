package host

import (
	"context"
	"errors"
	"fmt"
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/internal/rules"
	"github.com/oakumhq/oakum/plugins/internal/wire"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
	"github.com/oakumhq/oakum/plugins/sdk"
)

const (
	// messageMax bounds what the host sends: a view of 100,000 instances is
	// about 20 MB.
	messageMax = math.MaxInt32
	// answerMax bounds what a plugin may answer; a description is a few kilobytes.
	answerMax = 1 << 20
)

// errHung is the cause of a context that ended by the host's own timeout.
var errHung = errors.New("strategy did not answer in time")

// describe asks for the description and refuses one that the host can't work with.
func describe(ctx context.Context, client v1.StrategyClient) (api.PluginInfo, error) {
	m, err := client.Describe(ctx, &v1.DescribeRequest{})
	if err != nil {
		return api.PluginInfo{}, errorOf(ctx, err)
	}
	d := api.PluginInfo{
		Name:     m.GetName(),
		Version:  m.GetVersion(),
		Protocol: int(m.GetProtocol()),
		Schema:   wire.ToSchema(m.GetSchema()),
	}
	if d.Protocol != sdk.Protocol {
		return api.PluginInfo{}, api.Errorf(api.CodeInvalid, "speaks protocol %d, want %d", d.Protocol, sdk.Protocol)
	}
	if err := rules.CheckName(d.Name); err != nil {
		return api.PluginInfo{}, err
	}
	if err := rules.CheckSchema(d.Schema); err != nil {
		return api.PluginInfo{}, err
	}
	return d, nil
}

// advise asks for advice, unchecked.
func advise(ctx context.Context, client v1.StrategyClient, view api.StrategyView) (api.Advice, error) {
	m, err := client.Advise(ctx, &v1.AdviseRequest{View: wire.FromView(view)})
	if err != nil {
		return api.Advice{}, errorOf(ctx, err)
	}
	return wire.ToAdvice(m.GetAdvice()), nil
}

// errorOf returns the error of a failed call with its code. When a context ended,
// the context's cause distinguishes a plugin that hangs from a caller that left.
func errorOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, errHung) {
			return api.Errorf(api.CodeTimeout, "%s", cause)
		}
		return fmt.Errorf("ask strategy: %w", cause)
	}
	s := status.Convert(err)
	switch s.Code() {
	case codes.InvalidArgument:
		return api.Errorf(api.CodeInvalid, "%s", s.Message())
	case codes.Unavailable:
		return api.Errorf(api.CodeUnavailable, "the plugin's process ended: %s", s.Message())
	case codes.DeadlineExceeded, codes.Canceled:
		// The deadline travels with the call, and the plugin's end may see it
		// pass, and reset the stream, a moment before ours does. The cause of our
		// context then says whose deadline it was.
		if _, limited := ctx.Deadline(); limited {
			<-ctx.Done()
			return errorOf(ctx, err)
		}
		return api.Errorf(api.CodeTimeout, "%s", errHung)
	default:
		return api.Errorf(api.CodeInternal, "%s", s.Message())
	}
}

// broken reports whether a failed call shows that the process can't be used any
// more. It is false when the strategy had no advice, or the caller left.
func broken(err error) bool {
	return api.IsCode(err, api.CodeUnavailable) || api.IsCode(err, api.CodeTimeout)
}

// joinClose closes s after err and returns both errors.
func joinClose(err error, s strategy) error { return errors.Join(err, s.close()) }

// fieldPath names a plugin block of the configuration.
func fieldPath(i int, c Config) string {
	if c.Name == "" {
		return fmt.Sprintf("plugin[%d]", i)
	}
	return fmt.Sprintf("plugin %q", c.Name)
}
