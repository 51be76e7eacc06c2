package port

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/shoenig/test/must"
)

// FuzzFirstBytes holds that whatever a caller sends is handed on whole to the
// queue that its first byte names, or dropped.
func FuzzFirstBytes(f *testing.F) {
	f.Add([]byte{protocolRaft, 0, 1, 2})
	f.Add([]byte{protocolHTTP, 'G', 'E', 'T'})
	f.Add([]byte{recordTLS, 3, 1})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sent []byte) {
		ours, theirs := net.Pipe()
		m := newMux(fixed{}, &net.TCPAddr{}, slog.New(slog.DiscardHandler))
		must.True(t, m.await(ours))
		m.routing.Go(func() { m.route(ours) })
		handed := len(sent) > 0 && (sent[0] == protocolRaft || sent[0] == protocolHTTP)
		m.routing.Go(func() {
			_, _ = theirs.Write(sent) // it is not read to the end when it is dropped
			if !handed {
				_ = theirs.Close()
			}
		})
		if handed {
			to := map[byte]*queue{protocolRaft: m.raft, protocolHTTP: m.http}
			conn, err := to[sent[0]].Accept()
			must.NoError(t, err)
			rest := make([]byte, len(sent)-1)
			_, err = io.ReadFull(conn, rest)
			must.NoError(t, err)
			must.True(t, bytes.Equal(sent[1:], rest))
			must.NoError(t, conn.Close())
			must.NoError(t, theirs.Close())
		}
		m.routing.Wait()
		must.MapEmpty(t, m.unknown)
		must.NoError(t, m.close())
	})
}

// fixed is a listener that nobody comes to.
type fixed struct{}

func (fixed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (fixed) Close() error              { return nil }
func (fixed) Addr() net.Addr            { return &net.TCPAddr{} }
