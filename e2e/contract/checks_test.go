package contract

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// nativeChecks are checks of a service in Nomad's own catalog: how a client tells them,
// and what the adapter makes of them.
func nativeChecks(s *script) {
	job := s.job(1)
	check := func(name, onUpdate string) nomadapi.ServiceCheck {
		return nomadapi.ServiceCheck{Name: name, Type: "http", Path: "/health", Interval: time.Second, Timeout: time.Second, OnUpdate: onUpdate}
	}
	job.TaskGroups[0].Services = []*nomadapi.Service{{
		Name: s.id, Provider: "nomad", PortLabel: fmt.Sprint(s.w.healthPort), Address: "127.0.0.1",
		Checks: []nomadapi.ServiceCheck{check("alive", ""), check("ready", "ignore")},
	}}
	s.up(job)
	m := s.move()
	s.say("checked in Consul: %d", len(m.Former.Checked))
	var v *rollout.JobView
	s.await("its checks pass", func() bool {
		v = s.view(m)
		return len(v.Instances) == 1 && v.Instances[0].Health == api.Healthy
	})
	s.say("the instance: %s, excused %d", v.Instances[0].Health, len(v.Excused))
	said, err := s.vendor.Allocations().Checks(v.Instances[0].ID, nil)
	must.NoError(s.t, err)
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(said)) {
		c := said[id]
		lines = append(lines, fmt.Sprintf("%s: mode %s, status %s, the service's %t", c.Check, c.Mode, c.Status, c.Service == s.id))
	}
	slices.Sort(lines)
	for _, line := range lines {
		s.say("%s", line)
	}
	_, err = s.vendor.Allocations().Checks("00000000-0000-0000-0000-000000000000", nil)
	s.say("of no allocation: an error %t", err != nil)
}
