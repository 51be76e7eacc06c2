package view

import (
	"fmt"
	"io"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Simulation shows what a simulation measured on its twins.
func Simulation(w io.Writer, s api.Simulation) {
	took := ""
	if !s.Ended.IsZero() {
		took = Span(s.Ended.Sub(s.Started))
	}
	reason := s.Reason
	if reason == "" && s.Impact != nil {
		reason = s.Impact.Reason
	}
	requests := ""
	if s.Impact != nil && s.Impact.Requests > 0 {
		requests = fmt.Sprintf("%d to each twin", s.Impact.Requests)
	}
	Fields(w, "Simulation", s.ID, "Patch", s.Patch, "Target", s.Target.String(), "Rollout", s.Rollout,
		"Status", string(s.Status), "Reason", reason, "Started", Stamp(s.Started), "Took", took, "Requests", requests)
	if s.Impact == nil {
		return
	}
	fmt.Fprintln(w, "\nImpact:")
	kpis(w, s.Impact.KPIs, "Control", "Treatment")
	if len(s.Impact.Twins) == 0 {
		return
	}
	fmt.Fprintln(w, "\nTwins:")
	t := NewTable("Role", "Job", "Image", "SHA-256", "Healthy after")
	for _, twin := range s.Impact.Twins {
		t.Add(twin.Role, twin.Job, twin.Image, Short(twin.ImageDigest), Span(time.Duration(twin.HealthyAfter)))
	}
	t.Print(w, "  ")
}
