package server

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/notify"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// notify tells whom the configuration names, in one term of leadership.
func (s *Server) notify(ctx context.Context) error {
	scheme := "http"
	if s.cfg.TLS.HTTP != nil {
		scheme = "https"
	}
	o := notify.Options{State: s.store, Record: marks{s}, Cluster: s.cfg.Cluster, Page: scheme + "://" + s.cfg.Advertise.HTTP, Logger: s.log}
	for _, n := range s.cfg.Notify {
		o.Notifiers = append(o.Notifiers, notify.Notifier(n))
	}
	return notify.Run(ctx, o)
}

// marks is the replicated state as notifiers write to it.
type marks struct{ server *Server }

var _ notify.Record = marks{}

// Ready reports whether every server can keep marks.
func (m marks) Ready() bool { return m.server.store.Level() >= levels.Eight }

// Mark keeps how much notifiers were told, and forgets those that are gone.
func (m marks) Mark(ctx context.Context, put []api.NoticeMark, drop []string) error {
	return recorder(m).apply(ctx, &state.NoticesMark{Put: put, Drop: drop})
}
