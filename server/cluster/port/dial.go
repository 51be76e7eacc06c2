package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// dialer connects to the other servers.
type dialer struct {
	secure func(ctx context.Context, conn net.Conn, address string) (net.Conn, error)
}

// dial connects to a server and sends the first byte, which says what the
// connection carries.
func (d *dialer) dial(ctx context.Context, address string, protocol byte) (net.Conn, error) {
	var plain net.Dialer
	conn, err := plain.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if d.secure != nil {
		secured, err := d.secure(ctx, conn, address)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secured
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	if _, err := conn.Write([]byte{protocol}); err != nil {
		return nil, errors.Join(fmt.Errorf("greet %s: %w", address, err), conn.Close())
	}
	if err := conn.SetWriteDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// stream is the layer below Raft's own transport.
type stream struct {
	*queue
	dialer *dialer
}

var _ raft.StreamLayer = (*stream)(nil)

// Dial connects to another server's Raft.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.dialer.dial(ctx, string(address), protocolRaft)
}
