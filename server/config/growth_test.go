package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/server/config"
)

const growing = `
server {
  non_voter          = true
  bootstrap_expect   = 0
  retry_join         = ["provider=consul service=oakum", "oakum.example"]
  leave_on_terminate = true
}
autopilot {
  cleanup_dead_servers      = false
  dead_server_threshold     = "10m"
  last_contact_threshold    = "500ms"
  max_trailing_logs         = 100
  min_quorum                = 5
  server_stabilization_time = "30s"
}
consul {
  service_name = "oakum-east"
  tags         = ["blue"]
}
enable_debug = true
`

func TestGrowthIsConfigured(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base := strings.Replace(full, "bootstrap_expect = 3", "", 1)
	c, err := config.Load([]string{write(t, dir, "a.hcl", base), write(t, dir, "b.hcl", growing)}, false, environment)
	must.NoError(t, err)
	must.True(t, c.Server.NonVoter)
	must.True(t, c.Server.LeaveOnTerminate)
	must.False(t, c.Server.LeaveOnInterrupt)
	must.Eq(t, config.Autopilot{
		DeadServerThreshold: 10 * time.Minute, LastContactThreshold: 500 * time.Millisecond, MaxTrailingLogs: 100,
		MinQuorum: 5, ServerStabilizationTime: 30 * time.Second,
	}, c.Autopilot)
	must.True(t, c.Consul.Register)
	must.Eq(t, "oakum-east", c.Consul.ServiceName)
	must.Eq(t, []string{"blue"}, c.Consul.Tags)
	must.True(t, c.EnableDebug)
}

func TestGrowthThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`server { retry_join = ["provider=aws"] }`:             `x.hcl:1,23: server.retry_join: "provider=aws": want provider=consul`,
		`server { non_voter = true }`:                          `x.hcl:1,22: server.non_voter: want false with bootstrap_expect = 3`,
		`autopilot { dead_server_threshold = "1s" }`:           `x.hcl:1,37: autopilot.dead_server_threshold: want at least 1m`,
		`autopilot { last_contact_threshold = "0s" }`:          `autopilot.last_contact_threshold: want more than 0`,
		`autopilot { max_trailing_logs = 0 }`:                  `autopilot.max_trailing_logs: want more than 0`,
		`autopilot { min_quorum = -1 }`:                        `autopilot.min_quorum: want 0 or more`,
		`autopilot { server_stabilization_time = "-1s" }`:      `autopilot.server_stabilization_time: want 0 or more`,
		`consul { service_name = "" }`:                         `x.hcl:1,25: consul.service_name: want the name`,
		"autopilot {\n  cleanup_dead_server = true\n}":         `x.hcl:2,3: Unsupported argument`,
		`server { retry_join = ["provider=consul tag=a b=c"]}`: `provider consul knows service, datacenter, tag, not "b"`,
	} {
		dir := t.TempDir()
		_, err := config.Load([]string{write(t, dir, "full.hcl", full), write(t, dir, "x.hcl", text)}, false, environment)
		must.Error(t, err, must.Sprint(text))
		must.StrContains(t, strings.ReplaceAll(err.Error(), dir+"/", ""), want, must.Sprint(text))
	}
}

func TestAskingConsulNeedsConsul(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	without := strings.Replace(strings.Replace(full, "consul { address = \"127.0.0.1:8500\" }", "", 1), "  consul {}\n", "", 1)
	asks := `server { retry_join = ["provider=consul"] }`
	_, err := config.Load([]string{write(t, dir, "full.hcl", without), write(t, dir, "x.hcl", asks)}, false, environment)
	must.ErrorContains(t, err, "consul: want a consul block: server.retry_join asks Consul who is there")
}
