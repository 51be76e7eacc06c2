package cluster

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestLeadership_FollowsEveryGainAndLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		changes, closed := make(chan bool), make(chan struct{})
		number := uint64(0)
		l := newLeadership(slog.New(slog.DiscardHandler), closed)
		go l.watch(changes, func() uint64 { number++; return number })
		none, before := l.present()
		must.Nil(t, none)

		changes <- true
		first, err := l.next(t.Context())
		must.NoError(t, err)
		must.EqOp(t, 1, first.number)
		<-before // closed by the change

		changes <- true // a second gain: the loss between the two was missed by Raft itself
		synctest.Wait()
		<-first.lost
		second, err := l.next(t.Context())
		must.NoError(t, err)
		must.EqOp(t, 2, second.number)

		changes <- false
		synctest.Wait()
		<-second.lost
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		none, err = l.next(ctx)
		must.NoError(t, err)
		must.Nil(t, none, must.Sprint("ctx ended first"))

		changes <- true
		close(closed)
		synctest.Wait()
		_, err = l.next(t.Context())
		must.ErrorIs(t, err, ErrClosed)
	})
}

func TestDescribe_CountsTheLagFromTheFurthestServer(t *testing.T) {
	t.Parallel()
	members := []raft.Server{{ID: "a", Address: "a:1"}, {ID: "b", Address: "b:1", Suffrage: raft.Nonvoter}, {ID: "c", Address: "c:1"}}
	out := describe(members, map[raft.ServerID]report{
		"a": {status: status{Version: "1", Level: 2, LastIndex: 100, LastTerm: 7}},
		"b": {status: status{Version: "1", LastIndex: 90, NonVoter: true}},
		"c": {err: api.Errorf(api.CodeUnavailable, "no answer")},
	}, "a")
	must.Eq(t, []api.ServerInfo{
		{ID: "a", Address: "a:1", Leader: true, Voter: true, Version: "1", Level: 2, LastIndex: 100, LastTerm: 7},
		{ID: "b", Address: "b:1", NonVoter: true, Version: "1", LastIndex: 90, Lag: 10},
		{ID: "c", Address: "c:1", Voter: true, Silent: "no answer"},
	}, out)
}
