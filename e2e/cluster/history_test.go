package cluster

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func op(kind Kind, value string, outcome Outcome, call, end int) Operation {
	o := Operation{Kind: kind, Key: "k", Value: value, Outcome: outcome, Call: time.Duration(call), Return: time.Duration(end)}
	if kind == Read {
		o.Level = Consistent
	}
	return o
}

func TestCheckTellsGoodHistoriesFromBad(t *testing.T) {
	for name, tc := range map[string]struct {
		history []Operation
		good    bool
	}{
		"nothing":                        {nil, true},
		"a read of what was written":     {[]Operation{op(Put, "a", Done, 0, 1), op(Read, "a", Done, 2, 3)}, true},
		"a read before any write":        {[]Operation{op(Read, "", Done, 0, 1)}, true},
		"a stale read":                   {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Done, 2, 3), op(Read, "a", Done, 4, 5)}, false},
		"a lost write":                   {[]Operation{op(Put, "a", Done, 0, 1), op(Read, "", Done, 2, 3)}, false},
		"a read that is concurrent":      {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Done, 2, 9), op(Read, "a", Done, 4, 5)}, true},
		"new, then old again":            {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Unknown, 2, 3), op(Read, "b", Done, 4, 5), op(Read, "a", Done, 6, 7)}, false},
		"an unknown write comes late":    {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Unknown, 2, 3), op(Read, "a", Done, 4, 5), op(Read, "b", Done, 6, 7)}, true},
		"an unknown write never came":    {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Unknown, 2, 3), op(Read, "a", Done, 4, 5)}, true},
		"a refused write was done":       {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Refused, 2, 3), op(Read, "b", Done, 4, 5)}, false},
		"deleted and gone":               {[]Operation{op(Put, "a", Done, 0, 1), op(Delete, "", Done, 2, 3), op(Read, "", Done, 4, 5)}, true},
		"deleted and still there":        {[]Operation{op(Put, "a", Done, 0, 1), op(Delete, "", Done, 2, 3), op(Read, "a", Done, 4, 5)}, false},
		"deleted twice":                  {[]Operation{op(Put, "a", Done, 0, 1), op(Delete, "", Done, 2, 3), op(Delete, "", Done, 4, 5)}, false},
		"deleted twice, perhaps written": {[]Operation{op(Put, "a", Done, 0, 1), op(Delete, "", Done, 2, 3), op(Put, "b", Unknown, 4, 5), op(Delete, "", Done, 6, 7)}, true},
		"deleted perhaps":                {[]Operation{op(Put, "a", Done, 0, 1), op(Delete, "", Unknown, 2, 3), op(Read, "a", Done, 4, 5), op(Read, "", Done, 6, 7)}, true},
		"absent though it is there":      {[]Operation{op(Put, "a", Done, 0, 1), op(Delete, "", Absent, 2, 3)}, false},
		"restored":                       {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Done, 2, 3), op(Reset, "a", Done, 4, 5), op(Read, "a", Done, 6, 7)}, true},
		"restored and not to be seen":    {[]Operation{op(Put, "a", Done, 0, 1), op(Put, "b", Done, 2, 3), op(Reset, "a", Done, 4, 5), op(Read, "b", Done, 6, 7)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			picture := filepath.Join(t.TempDir(), "history.html")
			err := Check(tc.history, picture)
			if tc.good {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, "no single order")
			_, err = os.Stat(picture)
			must.NoError(t, err)
		})
	}
}

func TestStrictKeepsChangesAndConsistentReads(t *testing.T) {
	loose := op(Read, "b", Done, 2, 3)
	loose.Level = Default
	kept := []Operation{op(Put, "a", Done, 0, 1), op(Read, "a", Done, 4, 5)}
	must.Eq(t, kept, Strict([]Operation{kept[0], loose, kept[1]}))
}
