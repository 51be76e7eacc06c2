package state

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// deadServerLeast keeps a server that only restarts from being taken for dead.
const deadServerLeast = api.Duration(time.Minute)

// AutopilotPut replaces autopilot's configuration.
type AutopilotPut struct {
	Config api.AutopilotConfig `json:"config"`
	Expect uint64              `json:"expect"` // ModifyIndex of the one that it was made from; 0 when there was none
}

// Type is the command's number.
func (*AutopilotPut) Type() Type { return TypeAutopilotPut }

func (*AutopilotPut) level() int { return levels.Two }

func (p *AutopilotPut) apply(c *change) error {
	var now uint64
	if old := c.old.Autopilot; old != nil {
		now = old.ModifyIndex
	}
	switch cfg := p.Config; {
	case p.Expect != now:
		return api.Errorf(api.CodeStaleIndex, "autopilot's configuration was changed meanwhile: it has index %d, not %d; read it again", now, p.Expect)
	case cfg.DeadServerThreshold < deadServerLeast:
		return api.Errorf(api.CodeInvalid, "dead_server_threshold: want at least %s, have %s: a server that restarts is not dead", deadServerLeast, cfg.DeadServerThreshold)
	case cfg.LastContactThreshold <= 0:
		return api.Errorf(api.CodeInvalid, "last_contact_threshold: want more than 0, have %s", cfg.LastContactThreshold)
	case cfg.MaxTrailingLogs == 0:
		return api.Errorf(api.CodeInvalid, "max_trailing_logs: want more than 0")
	case cfg.ServerStabilizationTime < 0:
		return api.Errorf(api.CodeInvalid, "server_stabilization_time: want 0 or more, have %s", cfg.ServerStabilizationTime)
	}
	p.Config.ModifyIndex = c.index
	c.autopilot = &p.Config
	return nil
}

// Autopilot is the configuration that the cluster keeps, and false while none
// was recorded.
func (s *Store) Autopilot() (api.AutopilotConfig, bool) {
	if kept := s.meta().Autopilot; kept != nil {
		return *kept, true
	}
	return api.AutopilotConfig{}, false
}
