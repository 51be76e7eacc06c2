package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/oakumhq/oakum/e2e/daemon"
)

// The ports inside of each namespace.
const (
	httpPort = 4740
	raftPort = 4741
)

var _ daemon.Host = (*Network)(nil)

// Places gives each member its address, and its disk and its relay where they are
// asked for.
func (n *Network) Places(dirs []string) ([]daemon.Place, error) {
	n.home = filepath.Dir(dirs[0])
	var out []daemon.Place
	for i, dir := range dirs {
		p := daemon.Place{
			HTTP: fmt.Sprintf("%s:%d", n.Address(i), httpPort), Bind: fmt.Sprintf("%s:%d", n.Address(i), raftPort),
			Data: filepath.Join(dir, "data"),
		}
		p.Raft = p.Bind
		if n.options.Relay {
			r, err := newRelay(n.Host(), p.Bind)
			if err != nil {
				return nil, err
			}
			n.relays = append(n.relays, r)
			p.Raft = r.address()
		}
		if n.options.DiskMiB > 0 {
			disk, err := n.disk(dir, n.options.DiskMiB)
			if err != nil {
				return nil, err
			}
			n.disks = append(n.disks, disk)
			p.Data = filepath.Join(disk.Dir, "data")
		}
		out = append(out, p)
	}
	return out, nil
}

// Process runs a server in its namespace. Nothing of this process's environment is
// passed on but the search path.
func (n *Network) Process(i int, argv []string) (run, env []string) {
	run = []string{"ip", "netns", "exec", n.namespace(i)}
	if n.options.Wrap != nil {
		run = append(run, n.options.Wrap(i)...)
	}
	env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.home}
	if n.options.Env != nil {
		env = append(env, n.options.Env(i)...)
	}
	return append(run, argv...), env
}
