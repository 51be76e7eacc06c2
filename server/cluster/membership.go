package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
)

// configTimeout bounds a change of membership.
const configTimeout = 10 * time.Second

// Servers returns the members by name.
func (n *Node) Servers() []api.ServerInfo {
	leader, _ := n.Leader()
	var out []api.ServerInfo
	for _, s := range n.members() {
		info := api.ServerInfo{
			ID: string(s.ID), Address: string(s.Address),
			Leader: string(s.ID) == leader, Voter: s.Suffrage == raft.Voter,
		}
		if info.ID == n.cfg.ID {
			info.Version = n.cfg.Version
		}
		out = append(out, info)
	}
	return out
}

// Member reports whether this server belongs to a cluster.
func (n *Node) Member() bool { return len(n.members()) > 0 }

// members returns the servers of the latest configuration by name.
func (n *Node) members() []raft.Server {
	future := n.raft.GetConfiguration()
	if future.Error() != nil { // it is answered at once from memory
		return nil
	}
	servers := slices.Clone(future.Configuration().Servers)
	slices.SortFunc(servers, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return servers
}

func (n *Node) voters() []raft.Server {
	return slices.DeleteFunc(n.members(), func(s raft.Server) bool { return s.Suffrage != raft.Voter })
}

// find returns a member by name, nil when there is none.
func find(members []raft.Server, id string) *raft.Server {
	i := slices.IndexFunc(members, func(s raft.Server) bool { return string(s.ID) == id })
	if i < 0 {
		return nil
	}
	return &members[i]
}

// follows reports whether this server knows a leader, which may be itself, and is a
// member.
func (n *Node) follows() bool {
	id, _ := n.Leader()
	return id != "" && find(n.members(), n.cfg.ID) != nil
}

// bootstrap begins a cluster.
func (n *Node) bootstrap(servers []raft.Server) error {
	return n.translate(n.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error())
}

// RemovePeer takes a server out of the cluster. A leader that removes itself hands
// over first.
func (n *Node) RemovePeer(ctx context.Context, id string) error {
	if !n.IsLeader() {
		return n.noLeader()
	}
	if s := find(n.members(), id); s != nil {
		return n.wait(ctx, n.raft.RemoveServer(s.ID, 0, configTimeout).Error)
	}
	return api.Errorf(api.CodeNotFound, "server %q is not a member of the cluster", id)
}

// Transfer hands leadership to another server.
func (n *Node) Transfer(ctx context.Context) error {
	if !n.IsLeader() {
		return n.noLeader()
	}
	if len(n.voters()) < 2 {
		return api.Errorf(api.CodeConflict, "there is no other server that could lead")
	}
	err := n.wait(ctx, n.raft.LeadershipTransfer().Error)
	if api.IsCode(err, api.CodeInternal) { // Raft has no names for what can go wrong on the way
		return api.Errorf(api.CodeUnavailable, "leadership was not handed over: %v; ask again", err)
	}
	return err
}
