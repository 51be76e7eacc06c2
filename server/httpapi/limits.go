package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Limits bound what one caller takes of a server. Zero is no limit.
type Limits struct {
	RequestsPerIdentity int // requests of one identity that are answered at the same time, those that wait for a change included
}

// plansAtOnce is how many plans, checks of files and reads of the whole fleet of one
// identity run at the same time; each keeps a processor busy. Further ones wait.
const plansAtOnce = 2

// retryAfter is when a caller over its limit may ask again, in seconds.
const retryAfter = "1"

// shares counts what identities ask for.
type shares struct {
	most int
	mu   sync.Mutex
	by   map[holder]*share
}

// holder is whose a share is: a person's, whatever names their tokens have, since whoever
// has a token may make others with names of their choice. Without a subject it is a
// name's.
type holder struct{ via, subject, name string }

// share is one identity's.
type share struct {
	open  int           // requests, those that wait for their turn included
	turns chan struct{} // of costly ones
}

// take admits a request of an identity, a costly one when it is its turn. The error has
// the code busy when the identity has too many requests open.
func (s *shares) take(ctx context.Context, who api.Identity, costly bool) (give func(), err error) {
	if who.Name == "" {
		return func() {}, nil // anybody may ask an open route; nobody uses up another's share
	}
	name := holder{who.Via, who.Subject, ""}
	if who.Subject == "" {
		name.name = who.Name
	}
	s.mu.Lock()
	own := s.by[name]
	if own == nil {
		own = &share{turns: make(chan struct{}, plansAtOnce)}
		s.by[name] = own
	}
	if s.most > 0 && own.open >= s.most {
		s.mu.Unlock()
		return nil, api.Errorf(api.CodeBusy, "%s has %d requests open, the most that one identity may have; ask again later", who.Name, s.most)
	}
	own.open++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if own.open--; own.open == 0 {
			delete(s.by, name)
		}
	}
	if !costly {
		return leave, nil
	}
	select {
	case own.turns <- struct{}{}:
		return func() { <-own.turns; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// Limited closes the connections of a client, by its IP address, that has too many. Zero is
// no limit. Clients of this machine are not counted: a proxy there stands for many.
func Limited(l net.Listener, most int) net.Listener {
	if most <= 0 {
		return l
	}
	return &limitedListener{Listener: l, most: most, open: map[string]int{}}
}

type limitedListener struct {
	net.Listener
	most int
	mu   sync.Mutex
	open map[string]int // by IP address
}

// tooMany is what a client with too many connections reads, before any TLS.
const tooMany = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: " + retryAfter + "\r\n\r\n"

// refusalTimeout is how long a client may take to hear that it has too many connections.
const refusalTimeout = 10 * time.Millisecond

// Accept waits for a connection of a client that may have another one.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsLoopback() {
			return conn, nil
		}
		if l.another(host) {
			return &countedConn{Conn: conn, gone: sync.OnceFunc(func() { l.oneLess(host) })}, nil
		}
		_ = conn.SetWriteDeadline(time.Now().Add(refusalTimeout))
		_, _ = conn.Write([]byte(tooMany)) // it is closed either way
		_ = conn.Close()
	}
}

func (l *limitedListener) another(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[host] >= l.most {
		return false
	}
	l.open[host]++
	return true
}

func (l *limitedListener) oneLess(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[host]--; l.open[host] == 0 {
		delete(l.open, host)
	}
}

type countedConn struct {
	net.Conn
	gone func()
}

// Close ends the connection, which counts no more.
func (c *countedConn) Close() error {
	defer c.gone()
	return c.Conn.Close()
}

// rebound reports whether a request came by a name that somebody else's DNS gave to a
// loopback address. A page in a browser can send such ones; where everybody may do
// everything, only addresses and localhost are names of the server.
func rebound(r *http.Request) bool {
	host := (&url.URL{Host: r.Host}).Hostname() // without port and brackets
	return host != "localhost" && net.ParseIP(host) == nil
}
