package advisory

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// Compare assesses each inventory by each advisory. Inventories of one digest that name
// other packages leave it unknown who is not affected.
func Compare(inventories []api.Inventory, advisories []Advisory, o Options) api.AffectedReport {
	report := api.AffectedReport{Advisories: []api.Advisory{}, Assessments: []api.Assessment{}}
	for i := range advisories {
		report.Advisories = append(report.Advisories, advisories[i].Advisory)
	}
	doubts := conflicts(inventories)
	for i, inv := range inventories {
		index := NewIndex(inv)
		for j := range advisories {
			a := advisories[j].Assess(index, o)
			if doubts[i] != "" && a.Status != api.AssessmentAffected {
				a.Status, a.Reason = api.AssessmentUnknown, doubts[i]
			}
			report.Assessments = append(report.Assessments, a)
		}
	}
	return report
}

// conflicts says of inventories of one digest that name other packages that nobody
// knows which of them is right.
func conflicts(list []api.Inventory) map[int]string {
	of := map[string][]int{}
	for i, inv := range list {
		if inv.Digest != "" {
			of[inv.Digest] = append(of[inv.Digest], i)
		}
	}
	out := map[int]string{}
	for _, digest := range slices.Sorted(maps.Keys(of)) {
		for _, i := range of[digest] {
			for _, j := range of[digest] {
				if out[i] == "" && !reflect.DeepEqual(list[i].Packages, list[j].Packages) {
					out[i] = fmt.Sprintf("%s is of the same digest and names other packages", list[j].Source)
				}
			}
		}
	}
	return out
}
