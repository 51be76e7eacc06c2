package state_test

import (
	"bytes"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

func TestPolicyPut_KeepsVersionsFromLevel8On(t *testing.T) {
	t.Parallel()
	put := func(m *machine, text string) {
		m.must(t, &state.PolicyPut{Policy: api.Policy{Name: "web", Version: 9, Blocks: []string{"web"}, File: api.SourceFile{Name: "web.hcl", Text: text}}})
	}
	m := at(t, levels.Seven)
	put(m, "one")
	p, _ := m.store.Policy("web")
	must.EqOp(t, 0, p.Version, must.Sprint("servers of level 7 know no versions"))
	_, kept := m.store.PolicyHistory("web")
	must.False(t, kept)

	m.must(t, &state.LevelSet{Level: levels.Eight})
	put(m, "two")
	put(m, "three")
	put(m, "three")
	p, _ = m.store.Policy("web")
	must.EqOp(t, 3, p.Version)
	var out bytes.Buffer
	must.NoError(t, m.store.Snapshot(&out))
	again := newMachine()
	must.NoError(t, again.store.Restore(&out))
	must.EqOp(t, m.store.Hash(), again.store.Hash())
	history, kept := again.store.PolicyHistory("web")
	must.True(t, kept)
	must.Len(t, 3, history.Versions)
	for version, text := range map[int]string{1: "one", 2: "two", 3: "three"} {
		was, ok := history.Policy(version)
		must.True(t, ok)
		must.EqOp(t, text, was.File.Text)
	}

	m.must(t, &state.PolicyDelete{Name: "web"})
	_, kept = m.store.PolicyHistory("web")
	must.False(t, kept)
}
