package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// TestCompliance_CallsNothingSafeThatIsNotListed holds that an advisory whose targets are
// all counted, and not listed, reads as no safe one in any form.
func TestCompliance_CallsNothingSafeThatIsNotListed(t *testing.T) {
	t.Parallel()
	report := func(unlisted int) (text, table, page string) {
		t.Helper()
		c := api.Compliance{Targets: 3, Advisories: []api.AdvisoryCompliance{{
			Advisory: api.Advisory{ID: "DSA-1"}, Faults: []string{"CVE-2026-0001"}, Patches: []string{"p"},
			ComplianceCounts: api.ComplianceCounts{Affected: unlisted, NotAffected: 3 - unlisted}, Unlisted: unlisted,
		}}}
		var of [3]strings.Builder
		view.Compliance(&of[0], c)
		must.NoError(t, view.ComplianceCSV(&of[1], c))
		must.NoError(t, view.CompliancePage(&of[2], c))
		return of[0].String(), of[1].String(), of[2].String()
	}
	text, table, page := report(3)
	must.StrContains(t, text, "3 further targets, counted and not listed")
	must.StrContains(t, table, `,,,"3 further targets, counted and not listed"`)
	must.StrContains(t, page, "counted, and not listed: 3")
	must.StrNotContains(t, table, "not_affected")
	must.StrNotContains(t, page, "No target")

	_, table, page = report(0)
	must.StrContains(t, table, "not_affected")
	must.StrContains(t, page, "No target has anything to do with it.")
}

// TestCompliance_SaysThatSomethingIsUnread holds that no patch which can't be read counts
// as one that fixes nothing.
func TestCompliance_SaysThatSomethingIsUnread(t *testing.T) {
	t.Parallel()
	c := api.Compliance{Unread: []string{"patch broken: no JSON"}}
	for _, show := range []func(*strings.Builder){
		func(b *strings.Builder) { view.Compliance(b, c) },
		func(b *strings.Builder) { view.Vulnerabilities(b, c) },
		func(b *strings.Builder) { must.NoError(t, view.CompliancePage(b, c)) },
	} {
		var b strings.Builder
		show(&b)
		must.StrContains(t, b.String(), "No other patch that the cluster keeps says what it fixes, and no advisory")
	}
}

func TestAffected_GivesNoAgeToAnInventoryFromTheFuture(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for age, taken := range map[string]time.Time{"2h0m": now.Add(-2 * time.Hour), "?": now.Add(time.Second), "? ": {}} {
		var b strings.Builder
		view.Affected(&b, api.AffectedReport{Advisories: []api.Advisory{{ID: "DSA-1"}}, Assessments: []api.Assessment{
			{Advisory: "DSA-1", Inventory: "web.json", Subject: "web", TakenAt: taken, Status: api.AssessmentFixed, Reason: "because"},
		}}, now)
		must.StrContains(t, b.String(), "web.json   web  "+strings.TrimSpace(age)+" ")
	}
}
