package nomad

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

func TestNoRoom_NamesWhatIsExhaustedAndWhoIsRuledOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		metric *nomadapi.AllocationMetric
		want   string
	}{
		"room": {nil, ""},
		"memory and a constraint": {&nomadapi.AllocationMetric{
			NodesEvaluated: 4, DimensionExhausted: map[string]int{"memory": 3}, ConstraintFiltered: map[string]int{"${attr.kernel.name} = linux": 1},
		}, "memory exhausted on 3 of 4 nodes, the constraint ${attr.kernel.name} = linux rules out 1 of 4 nodes"},
		"a class":           {&nomadapi.AllocationMetric{NodesEvaluated: 2, ClassFiltered: map[string]int{"gpu": 2}}, "the class gpu rules out 2 of 2 nodes"},
		"nodes that drain":  {&nomadapi.AllocationMetric{}, "no node of its datacenters and node pool is ready and eligible"},
		"a quota":           {&nomadapi.AllocationMetric{QuotaExhausted: []string{"cpu"}}, "the quota is used up: cpu"},
		"nothing in detail": {&nomadapi.AllocationMetric{NodesEvaluated: 2}, "none of 2 nodes takes it"},
	} {
		must.EqOp(t, tc.want, noRoom(tc.metric), must.Sprint(name))
	}
}

func TestWarnings_AreLines(t *testing.T) {
	t.Parallel()
	must.SliceEmpty(t, warnings(""))
	must.Eq(t, []string{`Group "g" has warnings: 1 error occurred: * too many`, "another"},
		warnings("2 warnings:\n\n* Group \"g\" has warnings: 1 error occurred:\n\t* too many\n\n\n* another"))
}

func TestExpected_ReadsWhatAHeldUpdateSays(t *testing.T) {
	t.Parallel()
	must.EqOp(t, 4711, expected(heldUpdate(2, 0, 4711)))
	must.EqOp(t, 1<<40, expected(heldUpdate(1, 3, 1<<40)))
	must.EqOp(t, 0, expected(nil))
	must.EqOp(t, 0, expected(nomadapi.DefaultUpdateStrategy()))
}
