package cluster

import (
	"context"
	"time"

	"github.com/oakumhq/oakum/api"
)

// leavePause separates the tries of a leave while leadership changes.
const leavePause = 200 * time.Millisecond

// Leave takes this server out of the cluster: the others then count without it. A
// leader hands over first. The server goes on running as a member of no cluster, and
// its caller stops it. When it is started again, it asks to be let in. The error has
// code conflict when no other server could lead.
func (n *Node) Leave(ctx context.Context) error {
	if !n.Member() {
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
		case api.CodeNoLeader, api.CodeUnavailable, api.CodeTimeout, api.CodeBusy:
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
	return requestChange(ctx, n.LeaderTransport(), "leader", pathLeave, n.self())
}
