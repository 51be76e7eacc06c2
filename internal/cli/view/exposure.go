package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// exposureWide is the width of the longest bar of an exposure curve, in columns.
const exposureWide = 30

// exposure prints who is affected, and how much of the exposure is left after each wave.
func exposure(w io.Writer, plan api.Plan) {
	if plan.Exposure == nil {
		return
	}
	t := NewTable("Target", "Affected", "Exposure", "By", "Because")
	for _, wave := range plan.Waves {
		for _, p := range wave.Targets {
			if p.Assessment != nil && p.Exposure != nil {
				t.Add(p.Target.String(), affectedWord(p.Assessment), exposureText(p.Exposure.Value), p.Exposure.Reason, p.Assessment.Reason)
			}
		}
	}
	if len(t.rows) > 1 { // the first one is the head
		fmt.Fprintln(w, "\nAffected:")
		t.PrintWithin(w, "  ", tableWidth)
	}
	if len(plan.Waves) == 0 {
		return
	}
	differing(w, plan)
	fmt.Fprintln(w, "\nExposure left:")
	curve := NewTable("After", "Exposure", "")
	add := func(after string, value float64) {
		bar := 0
		if plan.Exposure.Before > 0 {
			bar = int(value/plan.Exposure.Before*exposureWide + 0.5)
		}
		curve.Add(after, exposureText(value), strings.Repeat("#", bar))
	}
	add("now", plan.Exposure.Before)
	for i, left := range plan.Exposure.Left {
		add("wave "+strconv.Itoa(i+1), left)
	}
	curve.Print(w, "  ")
}

// differing prints what the instances of those targets run whose instances differ, and that the
// patch goes to all of them.
func differing(w io.Writer, plan api.Plan) {
	t := NewTable("Target", "Instances", "Job version", "Affected", "Because")
	for _, wave := range plan.Waves {
		for _, p := range wave.Targets {
			if p.Assessment == nil {
				continue
			}
			for _, v := range p.Assessment.Versions {
				t.Add(p.Target.String(), strconv.Itoa(v.Instances), strconv.FormatUint(v.JobVersion, 10), assessmentWord(v.Status), v.Reason)
			}
		}
	}
	if len(t.rows) > 1 { // the first one is the head
		fmt.Fprintln(w, "\nInstances that differ (no strategy chooses among them, so all are patched):")
		t.Print(w, "  ")
	}
}

// affectedWord is assessmentWord, with how many instances are affected where some are not.
func affectedWord(a *api.TargetAssessment) string {
	if a.Status == api.AssessmentAffected && a.Hit < a.Instances {
		return fmt.Sprintf("%d of %d instances", a.Hit, a.Instances)
	}
	return assessmentWord(a.Status)
}

// assessmentWord is the answer of an assessment in the words of a table.
func assessmentWord(s api.AssessmentStatus) string {
	switch s {
	case api.AssessmentAffected:
		return "yes"
	case api.AssessmentUnknown:
		return "unknown"
	case api.AssessmentFixed:
		return "fixed"
	case api.AssessmentNotAffected:
	}
	return "no"
}

// exposureText is an exposure, in its unit.
func exposureText(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// nothingToDo prints the targets that the patch need not go to, and apart from them those
// that it does not go to although they may be affected.
func nothingToDo(w io.Writer, list []api.NothingToDo) {
	for _, part := range []struct {
		head     string
		affected bool
	}{{"Nothing to do", false}, {"Left out", true}} {
		t := NewTable("Target", "Reason")
		for _, n := range list {
			if n.MayBeAffected() == part.affected {
				t.Add(n.Target.String(), n.Reason)
			}
		}
		if len(t.rows) > 1 { // the first one is the head
			fmt.Fprintf(w, "\n%s:\n", part.head)
			t.PrintWithin(w, "  ", tableWidth)
		}
	}
}
