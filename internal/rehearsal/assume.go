package rehearsal

import "fmt"

// assumptions collects the targets, or KPIs of targets, for which a scene has to
// assume something, by kind.
type assumptions struct {
	quiet      []string // no request was ever seen
	unseen     []string // KPIs
	boots      []string // no health time is known
	bootsAlike []string // those of others are
	trials     []string // no simulation was seen
}

// assumptions writes in sentences what the report is based on beside the facts.
func (s *scene) assumptions() []string {
	a := s.assumed
	out := []string{
		fmt.Sprintf("The fleet is as it was at %s, and nothing else happens to it: no lost node, no drain, no scaling, no other change of its jobs, enough room for every instance; Nomad, Consul and Prometheus answer.", s.facts.At.UTC().Format("2006-01-02 15:04:05 UTC")),
		fmt.Sprintf("People answer %s after Oakum asks: they approve, they promote a stage of a harmless patch that stays undecided, and they roll a bad one back.", s.opt.People),
		"Requests are spread evenly over the instances that are healthy, and come as the profile has them at each hour of the week.",
		"A KPI is drawn as its profile has it, the noise of instances and of the whole fleet included. A bad patch changes errors or latencies of its own instances alone: what it does to neighbours, and what these would show, is left out.",
		"Nomad takes the patched jobs, places instances within 0.3 s, and starts one that crashes again as its defaults say.",
	}
	if s.simulates() {
		out = append(out, "Simulations pass, also with a bad patch: what is said of it is what the rollout alone would do.")
	}
	if len(s.plan.Weak) > 0 {
		out = append(out, "The sources that were missing stay so: an approval that is asked for because of them is waited for.")
	}
	if len(s.patch.Affects) > 0 || s.patch.Advisory != nil || s.input.Library.ReadsInstalled() {
		out = append(out, "What is installed is no part of the facts: nobody knows which targets the patch affects, and each is planned as such.")
	}
	if len(s.facts.Open) > 0 {
		out = append(out, fmt.Sprintf("The %d rollouts that are under way hold up none of these.", len(s.facts.Open)))
	}
	add := func(names []string, format string, args ...any) {
		if len(names) > 0 {
			out = append(out, fmt.Sprintf(format, args...)+": "+some(names)+".")
		}
	}
	add(a.quiet, "No requests are known of, so there are none")
	add(a.unseen, "Too little was measured, so the judge has no data")
	add(a.boots, "No instance was seen to become healthy; each takes %s", s.opt.Healthy)
	add(a.bootsAlike, "No instance was seen to become healthy; each takes as long as one of another target under the same driver")
	add(a.trials, "No simulation was seen; one takes its load and two boots")
	return append(out, s.seen()...)
}

func (s *scene) simulates() bool {
	for _, m := range s.members {
		if m.planned.Decision.Simulate.Required {
			return true
		}
	}
	return false
}

// seen says which recorded health times are used.
func (s *scene) seen() []string {
	batches, targets := 0, 0
	for _, m := range s.members {
		for _, h := range s.facts.Healthy {
			if h.Target == m.planned.Target.TargetRef && len(h.Seen) > 0 {
				targets++
				batches += len(h.Seen)
			}
		}
	}
	if targets == 0 {
		return nil
	}
	return []string{fmt.Sprintf("Each instance becomes healthy after one of the %d times that batches of stages and twins took before, at %d targets: the whole batch's time, which is no shorter than one instance's.", batches, targets)}
}
