package host

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/oakumhq/oakum/api"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// pipeBuffer is the size of the in-memory connection: a message larger than it
// merely takes several writes.
const pipeBuffer = 256 << 10

// builtin is a strategy of this binary behind the protocol.
type builtin struct {
	server    *grpc.Server
	conn      *grpc.ClientConn
	client    v1.StrategyClient
	served    sync.WaitGroup
	described api.PluginInfo
}

var _ strategy = (*builtin)(nil)

// startBuiltin serves s in memory and asks it for its description.
func startBuiltin(ctx context.Context, s sdk.Strategy) (*builtin, error) {
	listener := bufconn.Listen(pipeBuffer)
	b := &builtin{server: grpc.NewServer(grpc.MaxRecvMsgSize(messageMax))}
	sdk.Register(b.server, s)
	b.served.Go(func() {
		// Serve answers nil after Stop, and can't fail on a pipe before that.
		_ = b.server.Serve(listener)
	})
	conn, err := grpc.NewClient("passthrough:///builtin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(messageMax)),
	)
	if err != nil {
		b.server.Stop()
		b.served.Wait()
		return nil, fmt.Errorf("connect built-in strategy: %w", err)
	}
	b.conn, b.client = conn, v1.NewStrategyClient(conn)
	d, err := describe(ctx, b.client)
	if err != nil {
		return nil, fmt.Errorf("describe built-in strategy: %w", joinClose(err, b))
	}
	d.Builtin, d.Healthy = true, true
	b.described = d
	return b, nil
}

func (b *builtin) advise(ctx context.Context, view api.StrategyView) (api.Advice, error) {
	return advise(ctx, b.client, view)
}

func (b *builtin) info() api.PluginInfo { return b.described }

func (b *builtin) close() error {
	err := b.conn.Close()
	b.server.Stop()
	b.served.Wait()
	if err != nil {
		return fmt.Errorf("close built-in strategy: %w", err)
	}
	return nil
}
