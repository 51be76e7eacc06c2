package state_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

func TestReadingsChange_KeepsAReadingThatOwnsSomething(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Eight)
	job := api.SandboxObject{Kind: api.ObjectJob, Namespace: "prod", Name: "oakum-twin-inventory-1-read"}
	m.must(t, &state.ReadingsChange{Put: []api.InventoryReading{{Key: "image:/a", Owned: []api.SandboxObject{job}}, {Key: "image:/b", Error: "no room"}}})
	m.must(t, &state.ReadingsChange{Drop: []string{"image:/a", "image:/b", "image:/c"}})
	have := m.store.Readings()
	must.Len(t, 1, have)
	must.Eq(t, []api.SandboxObject{job}, have[0].Owned)

	var out bytes.Buffer
	must.NoError(t, m.store.Snapshot(&out))
	again := newMachine()
	must.NoError(t, again.store.Restore(&out))
	must.Eq(t, have, again.store.Readings())

	m.must(t, &state.ReadingsChange{Put: []api.InventoryReading{{Key: "image:/a"}}})
	m.must(t, &state.ReadingsChange{Drop: []string{"image:/a"}})
	must.SliceEmpty(t, m.store.Readings())
}

func TestReadingsChange_IsChecked(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Eight)
	for name, r := range map[string]api.InventoryReading{
		"no key":       {},
		"a long key":   {Key: strings.Repeat("x", 2000)},
		"a long error": {Key: "a", Error: strings.Repeat("x", 2000)},
		"many jobs":    {Key: "a", Owned: make([]api.SandboxObject, 65)},
	} {
		must.Error(t, m.apply(&state.ReadingsChange{Put: []api.InventoryReading{{Key: "good"}, r}}), must.Sprint(name))
	}
	must.SliceEmpty(t, m.store.Readings())
	_, err := at(t, levels.Seven).fsm.Encode(&state.ReadingsChange{}, epoch(), "")
	must.ErrorContains(t, err, "needs cluster level 8")
}
