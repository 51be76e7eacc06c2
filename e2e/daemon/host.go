package daemon

import (
	"fmt"
	"net"
	"path/filepath"
)

// Host is where servers run.
type Host interface {
	// Places chooses a place for each server. A server has the folder dirs[i].
	Places(dirs []string) ([]Place, error)
	// Process is how the command line argv of server i is run: what to run instead,
	// and the environment. A nil environment is that of this process.
	Process(i int, argv []string) (run, env []string)
}

// Place is where one server listens and keeps its state.
type Place struct {
	HTTP string // host:port of the API
	Bind string // host:port that it listens at for the other servers
	Raft string // host:port that the other servers reach it at
	Data string // folder of its state
}

// httpPort and raftPort are those of the first server on loopback. The ports of
// the next servers follow.
const (
	httpPort = 4740
	raftPort = 4780
)

// AnyPorts as the offset of Loopback takes free ports.
const AnyPorts = -1

// Loopback is this machine. The ports of the servers are the usual ones plus an
// offset.
func Loopback(offset int) Host { return loopback(offset) }

type loopback int

// Places puts each server at ports of its own.
func (l loopback) Places(dirs []string) ([]Place, error) {
	var out []Place
	for i, dir := range dirs {
		http, raft := httpPort+i+int(l), raftPort+i+int(l)
		if l == AnyPorts {
			for _, port := range []*int{&http, &raft} {
				listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // an address is bound at once or not at all
				if err != nil {
					return nil, fmt.Errorf("find a free port: %w", err)
				}
				defer listener.Close() //nolint:errcheck // held until every port is found; a server listens there next
				*port = listener.Addr().(*net.TCPAddr).Port
			}
		}
		address := fmt.Sprintf("127.0.0.1:%d", raft)
		out = append(out, Place{HTTP: fmt.Sprintf("127.0.0.1:%d", http), Bind: address, Raft: address, Data: filepath.Join(dir, "data")})
	}
	return out, nil
}

// Process runs a server as it is.
func (loopback) Process(_ int, argv []string) (run, env []string) { return argv, nil }
