package state_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

func someAutopilot() api.AutopilotConfig {
	return api.AutopilotConfig{
		CleanupDeadServers: true, DeadServerThreshold: api.Duration(time.Hour), LastContactThreshold: api.Duration(time.Second),
		MaxTrailingLogs: 100, MinQuorum: 3, ServerStabilizationTime: api.Duration(10 * time.Second),
	}
}

func TestAutopilotPut_ComparesBeforeItSets(t *testing.T) {
	t.Parallel()
	m := raised(t)
	_, kept := m.store.Autopilot()
	must.False(t, kept)
	m.must(t, &state.AutopilotPut{Config: someAutopilot()})
	first, kept := m.store.Autopilot()
	must.True(t, kept)
	must.Eq(t, m.index, first.ModifyIndex)

	next := first
	next.MinQuorum = 5
	must.True(t, api.IsCode(m.apply(&state.AutopilotPut{Config: next}), api.CodeStaleIndex))
	m.must(t, &state.AutopilotPut{Config: next, Expect: first.ModifyIndex})

	var out bytes.Buffer
	must.NoError(t, m.store.Snapshot(&out))
	again := state.NewStore()
	must.NoError(t, again.Restore(&out))
	restored, _ := again.Autopilot()
	must.Eq(t, 5, restored.MinQuorum)
	must.Eq(t, m.store.Hash(), again.Hash())
}

func TestAutopilotPut_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	m := raised(t)
	for want, spoil := range map[string]func(*api.AutopilotConfig){
		"dead_server_threshold":     func(c *api.AutopilotConfig) { c.DeadServerThreshold = api.Duration(time.Second) },
		"last_contact_threshold":    func(c *api.AutopilotConfig) { c.LastContactThreshold = 0 },
		"max_trailing_logs":         func(c *api.AutopilotConfig) { c.MaxTrailingLogs = 0 },
		"server_stabilization_time": func(c *api.AutopilotConfig) { c.ServerStabilizationTime = -1 },
	} {
		cfg := someAutopilot()
		spoil(&cfg)
		err := m.apply(&state.AutopilotPut{Config: cfg})
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
		must.StrContains(t, err.Error(), want)
	}
	_, kept := m.store.Autopilot()
	must.False(t, kept)
}
