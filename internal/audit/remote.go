package audit

import (
	"bytes"
	"errors"
	"log/syslog"
	"net"
	"time"
)

// SocketDevice sends lines to a TCP or Unix socket. Its chain begins anew with the agent. A
// line whose connection was lost comes again, whole.
type SocketDevice struct {
	Network string // tcp or unix
	Address string
}

func (d SocketDevice) name() string { return "socket " + d.Network + "://" + d.Address }

// socketTimeout is how long a connection, or a write to one, may take: less than takeTimeout
// even when both are tried once more.
const socketTimeout = time.Second

func (d SocketDevice) open() (sink, Chain, int64, error) {
	s := &socket{SocketDevice: d}
	if err := s.dial(); err != nil {
		return nil, Chain{}, 0, err
	}
	return s, Chain{}, 0, nil
}

// socket is a SocketDevice; conn is nil while it is not connected.
type socket struct {
	SocketDevice
	conn net.Conn
}

var _ sink = (*socket)(nil)

func (s *socket) dial() error {
	conn, err := net.DialTimeout(s.Network, s.Address, socketTimeout) //nolint:noctx // bounded, and nobody cancels it
	s.conn = conn
	return err
}

func (s *socket) write(lines []byte, _ Chain) error {
	if s.conn != nil && s.send(lines) == nil {
		return nil
	}
	if err := s.dial(); err != nil { // it was closed since the last write, which only a write shows
		s.conn = nil
		return err
	}
	return s.send(lines)
}

func (s *socket) send(lines []byte) error {
	err := s.conn.SetWriteDeadline(time.Now().Add(socketTimeout))
	if err == nil {
		_, err = s.conn.Write(lines)
	}
	if err != nil {
		err = errors.Join(err, s.close())
	}
	return err
}

func (s *socket) close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// SyslogDevice sends lines to the syslog daemon of this machine, with facility authpriv. Its
// chain begins anew with the agent.
type SyslogDevice struct {
	Tag string
}

func (d SyslogDevice) name() string { return "syslog " + d.Tag }

func (d SyslogDevice) open() (sink, Chain, int64, error) {
	w, err := syslog.New(syslog.LOG_AUTHPRIV|syslog.LOG_INFO, d.Tag)
	if err != nil {
		return nil, Chain{}, 0, err
	}
	return &syslogSink{w}, Chain{}, 0, nil
}

type syslogSink struct{ w *syslog.Writer }

var _ sink = (*syslogSink)(nil)

// write sends one message for each line. After an error some may have been sent; those come
// again.
func (s *syslogSink) write(lines []byte, _ Chain) error {
	for line := range bytes.Lines(lines) {
		if _, err := s.w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func (s *syslogSink) close() error { return s.w.Close() }
