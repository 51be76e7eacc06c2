package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	pathLeave = "/internal/leave"
	// leavePause separates the tries of a leave while leadership changes.
	leavePause = 200 * time.Millisecond
)

// Leave takes this server out of the cluster for good: the others then count
// without it. A leader hands over first. The server goes on running, as a
// member of nothing, and is to be stopped; started again, it asks to be let in.
// The error has code conflict when no other server could lead.
func (n *Node) Leave(ctx context.Context) error {
	if !n.bootstrapped() {
		return nil
	}
	if voters := n.voters(); len(voters) == 1 && string(voters[0].ID) == n.cfg.ID {
		return api.Errorf(api.CodeConflict, "server %s is the only voter and can't leave: the cluster would be without anybody", n.cfg.ID)
	}
	for {
		err := n.tryLeave(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		switch api.AsError(err).Code {
		case api.CodeNoLeader, api.CodeUnavailable, api.CodeTimeout:
			n.logger.Info("leave the cluster", "error", err)
			pause(ctx, leavePause)
		case api.CodeInvalid, api.CodeNotFound, api.CodeConflict, api.CodeStaleIndex, api.CodePermissionDenied,
			api.CodeUnauthenticated, api.CodeInternal:
			return err
		}
	}
}

func (n *Node) tryLeave(ctx context.Context) error {
	if n.IsLeader() {
		if err := n.Transfer(ctx); err != nil {
			return err
		}
	}
	return n.send(ctx, n.LeaderTransport(), "leader", pathLeave, member{ID: n.cfg.ID, Address: n.Address(), Cluster: n.cfg.Cluster})
}

// serveLeave lets a server go. Only the leader can; a server that hands over
// just now asks its successor.
func (n *Node) serveLeave(w http.ResponseWriter, r *http.Request) {
	var m member
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&m); err != nil {
		writeError(w, api.Errorf(api.CodeInvalid, "read leave: %v", err))
		return
	}
	if err := n.letGo(r.Context(), m); err != nil {
		writeError(w, api.AsError(err))
		return
	}
	writeJSON(w, http.StatusOK, n.status())
}

func (n *Node) letGo(ctx context.Context, m member) error {
	switch {
	case !n.IsLeader():
		return n.noLeader()
	case m.ID == n.cfg.ID:
		return api.Errorf(api.CodeNoLeader, "server %s leads and has to hand over before it leaves", m.ID)
	case m.Cluster != n.cfg.Cluster:
		return api.Errorf(api.CodeConflict, "leave: this is cluster %q, server %s belongs to %q", n.cfg.Cluster, m.ID, m.Cluster)
	}
	for _, s := range n.members() {
		if string(s.ID) != m.ID {
			continue
		}
		if string(s.Address) != m.Address {
			return api.Errorf(api.CodeConflict, "leave: server %s is a member at %s, not at %s", m.ID, s.Address, m.Address)
		}
		n.logger.Info("server leaves", "peer", m.ID, "address", m.Address)
		return n.wait(ctx, n.raft.RemoveServer(s.ID, 0, configTimeout).Error)
	}
	// It is gone already, but an earlier request's change may not be agreed on yet,
	// and be lost with this leader.
	return n.Barrier(ctx)
}
