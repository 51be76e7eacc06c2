package state_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

func TestNoticesMark_NeverGoesBack(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Eight)
	m.must(t, &state.NoticesMark{Put: []api.NoticeMark{{Notifier: "slack", Index: 7}, {Notifier: "mail", Index: 3}}})
	m.must(t, &state.NoticesMark{Put: []api.NoticeMark{{Notifier: "slack", Index: 5}, {Notifier: "mail", Index: 4}}, Drop: []string{"gone"}})
	have := m.store.NoticeMarks()
	must.Len(t, 2, have)
	must.Eq(t, []uint64{4, 7}, []uint64{have[0].Index, have[1].Index})
	m.must(t, &state.NoticesMark{Drop: []string{"slack"}})
	must.Len(t, 1, m.store.NoticeMarks())
}

func TestNoticesMark_IsChecked(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Eight)
	for _, name := range []string{"", strings.Repeat("n", 129)} {
		must.Error(t, m.apply(&state.NoticesMark{Put: []api.NoticeMark{{Notifier: "good"}, {Notifier: name}}}))
	}
	must.SliceEmpty(t, m.store.NoticeMarks())
	_, err := at(t, levels.Seven).fsm.Encode(&state.NoticesMark{}, epoch(), "")
	must.ErrorContains(t, err, "needs cluster level 8")
}
