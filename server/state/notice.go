package state

import (
	"github.com/oakumhq/oakum/api"

	"github.com/oakumhq/oakum/server/state/levels"
)

// Bounds of marks of notifiers.
const (
	marksMax    = 64
	markNameMax = 128
)

// NoticesMark keeps how much notifiers were told, and forgets those that are gone.
type NoticesMark struct {
	Put  []api.NoticeMark `json:"put,omitempty"`
	Drop []string         `json:"drop,omitempty"` // names
}

// Type is the command's number.
func (*NoticesMark) Type() Type { return TypeNoticesMark }

func (*NoticesMark) level() int { return levels.Eight }

// apply never takes a mark back: a leader that was late would have everything told again.
func (n *NoticesMark) apply(c *change) error {
	for _, name := range n.Drop {
		if c.t.marks.get(c.txn, name) != nil {
			c.t.marks.remove(c.txn, name)
		}
	}
	count := 0
	for range c.t.marks.all(c.txn) {
		count++
	}
	for i := range n.Put {
		next := &n.Put[i]
		old := c.t.marks.get(c.txn, next.Notifier)
		if old == nil {
			count++
		}
		switch {
		case next.Notifier == "", len(next.Notifier) > markNameMax:
			return api.Errorf(api.CodeInvalid, "mark of notifier %.60q: want a name of 1 to %d bytes", next.Notifier, markNameMax)
		case count > marksMax:
			return api.Errorf(api.CodeConflict, "the marks of %d notifiers are kept, and no more fit", marksMax)
		case old != nil && old.Index >= next.Index:
			continue
		}
		next.ModifyIndex = c.index
		c.t.marks.put(c.txn, next)
	}
	return nil
}

// NoticeMarks lists how much notifiers were told, by name.
func (s *Store) NoticeMarks() []api.NoticeMark { return list(s.t.marks, s.t.marks.all(s.read())) }
