package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/durable"
)

const (
	// dataFormat is the layout that this program writes, and the newest one that
	// it reads. It grows when an older program can't read the directory any more.
	dataFormat = 1
	// labelFile says whose a data directory is.
	labelFile = "server.json"
	// infoFile explains to an operator how to bring back a cluster without a majority.
	infoFile = "peers.info"
)

// stableID is the key under which the votes name the server. The label is written
// after it, so a directory with a label whose votes do not name the server has
// lost its log.
const stableID = "oakum-server"

// label is what a data directory says about itself.
type label struct {
	Format  int    `json:"format"`
	Server  string `json:"server"`
	Cluster string `json:"cluster"`
	Version string `json:"version"` // of the program that made it
}

// readLabel returns the label of the directory; a new directory has none, and the
// label is nil. It refuses a directory that is not this server's. It changes
// nothing.
func (c *Config) readLabel() (*label, error) {
	path := filepath.Join(c.Dir, labelFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read data directory: %w", err)
	}
	var l label
	if err := json.Unmarshal(text, &l); err != nil || l.Format < 1 {
		return nil, api.Errorf(api.CodeConflict, "%s is damaged, so it is not known whose data directory this is: restore the file, "+
			"or remove it if you are sure that the directory is that of server %q of cluster %q", path, c.Server, c.Cluster)
	}
	switch {
	case l.Format > dataFormat:
		return nil, api.Errorf(api.CodeConflict, "the data directory %s has format %d, which Oakum %s wrote, and this program reads formats up to %d: "+
			"run that version or a newer one", c.Dir, l.Format, l.Version, dataFormat)
	case l.Cluster != c.Cluster:
		return nil, api.Errorf(api.CodeConflict, "the data directory %s belongs to cluster %q, and this server to %q: "+
			"set cluster = %q, or give this server a data directory of its own", c.Dir, l.Cluster, c.Cluster, l.Cluster)
	case l.Server != c.Server:
		return nil, api.Errorf(api.CodeConflict, "the data directory %s belongs to server %q, and this one is %q: "+
			"set name = %q, or give this server a data directory of its own", c.Dir, l.Server, c.Server, l.Server)
	}
	return &l, nil
}

// claim makes a directory without a label this server's. It refuses a directory
// whose log was lost: a server that forgot whom it voted for must not vote again.
func (c *Config) claim(l *label, votes raft.StableStore) error {
	name, err := votes.Get([]byte(stableID))
	if err != nil && !strings.Contains(err.Error(), "not found") { // Raft's own stores have no error to compare with
		return fmt.Errorf("read %s: %w", c.Dir, err)
	}
	switch {
	case l != nil && string(name) != c.Server:
		return api.Errorf(api.CodeConflict, "the log of server %q in %s is gone: restore it, or move the directory away and have the server join anew "+
			"(first, on another server: oakum operator raft remove-peer %s)", c.Server, c.Dir, c.Server)
	case l != nil:
		return nil
	case len(name) == 0:
		if err := votes.Set([]byte(stableID), []byte(c.Server)); err != nil {
			return fmt.Errorf("claim data directory: %w", err)
		}
	case string(name) != c.Server:
		return api.Errorf(api.CodeConflict, "the data directory %s belongs to server %q, and this one is %q: "+
			"set name = %q, or give this server a data directory of its own", c.Dir, name, c.Server, name)
	}
	if err := durable.WriteFile(filepath.Join(c.Dir, infoFile), []byte(peersInfo)); err != nil {
		return err
	}
	text, err := json.MarshalIndent(label{Format: dataFormat, Server: c.Server, Cluster: c.Cluster, Version: c.Version}, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(c.Dir, labelFile), append(text, '\n'))
}
