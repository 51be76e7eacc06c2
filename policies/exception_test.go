package policies_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

const putUp = `exception "billing" {
  faults  = ["CVE-2026-0001", "DSA-1"]
  targets = ["prod/billing-*/vm", "*/web/*"]
  reason  = "nobody   calls it"
  until   = "2026-10-01"
}
`

func TestException_HoldsForItsTargetsUntilItsEnd(t *testing.T) {
	t.Parallel()
	library := load(t, putUp)
	must.Len(t, 1, library.Exceptions())
	e := library.Exceptions()[0]
	must.EqOp(t, "billing", e.Name)
	must.EqOp(t, "nobody calls it", e.Reason)
	must.Eq(t, []string{"CVE-2026-0001", "DSA-1"}, e.Faults)
	must.StrHasSuffix(t, ":1,1", e.Range)
	end := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	for ref, want := range map[string]bool{
		"prod/billing-eu/vm": true, "prod/billing/vm": false, "prod/billing-eu/db": false, "test/web/any": true, "prod/billing-eu-vm/other": false,
	} {
		target, err := api.ParseTargetRef(ref)
		must.NoError(t, err)
		must.EqOp(t, want, e.Holds(target, end.Add(-time.Second)), must.Sprint(ref))
		must.False(t, e.Holds(target, end))
	}
}

func TestException_IsRefusedWhereItSaysTooMuchOrTooLittle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, fault string }{
		"no end":              {`  until   = "2026-10-01"` + "\n", "", "until"},
		"an end that is none": {`"2026-10-01"`, `"soon"`, "soon"},
		"no reason":           {`"nobody   calls it"`, `" "`, "reason"},
		"every fault":         {`"DSA-1"`, `"CVE-*"`, "and no pattern"},
		"no fault":            {`["CVE-2026-0001", "DSA-1"]`, `[]`, "want the name of a fault"},
		"no targets":          {`["prod/billing-*/vm", "*/web/*"]`, `[]`, "want namespace/job/group"},
		"an empty part":       {`"*/web/*"`, `"prod//vm"`, "want namespace/job/group"},
		"an empty group":      {`"*/web/*"`, `"prod/web/"`, "want namespace/job/group"},
		"something else":      {`reason `, `why `, "why"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(putUp, c.old, c.new, 1)
			must.NotEq(t, putUp, text)
			_, diags := policies.ParsePolicy(api.SourceFile{Name: "e.hcl", Text: text}, nil)
			must.True(t, diags.HasErrors())
			must.StrContains(t, diags.Error(), c.fault)
			must.StrContains(t, diags.Error(), "e.hcl:")
		})
	}
	_, diags := policies.ParsePolicy(api.SourceFile{Name: "e.hcl", Text: putUp + putUp}, nil)
	must.StrContains(t, diags.Error(), "billing")
}

// TestException_NamesTargetsAsCommandsDo: a job may have slashes in its name, and a target in
// namespace default needs no more than its job.
func TestException_NamesTargetsAsCommandsDo(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{
		"prod/batch/nightly-*/vm": {"prod/batch/nightly-1/vm", "prod/batch/nightly-1/2/vm"},
		"prod/batch/*":            {"prod/batch/vm"},
		"prod/batch*/vm":          {"prod/batch/vm", "prod/batch/nightly-1/vm", "prod/batch/nightly-1/2/vm"},
		"shop/app":                {"default/shop/app"},
		"shop":                    {"default/shop/shop"},
	} {
		e := load(t, strings.Replace(putUp, `"prod/billing-*/vm", "*/web/*"`, `"`+pattern+`"`, 1)).Exceptions()[0]
		var got []string
		for _, ref := range []string{"prod/batch/vm", "prod/batch/nightly-1/vm", "prod/batch/nightly-1/2/vm", "prod/batch/nightly-1/db", "default/shop/app", "default/shop/shop", "prod/shop/shop"} {
			target, err := api.ParseTargetRef(ref)
			must.NoError(t, err)
			if e.Holds(target, e.Until.Add(-time.Second)) {
				got = append(got, ref)
			}
		}
		must.Eq(t, want, got, must.Sprint(pattern))
	}
}
