package evidence

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

func at(seconds, operations int) twin.Blocks {
	return twin.Blocks{At: time.Duration(seconds) * time.Second, Operations: uint64(operations), Bytes: uint64(operations) * 512}
}

func TestMeter_TakesDifferences(t *testing.T) {
	cases := map[string]struct {
		before, seen []twin.Blocks // before and after the last take
		want         Work
	}{
		"nothing":          {nil, []twin.Blocks{{}}, Work{why: "away"}},
		"one reading":      {nil, []twin.Blocks{at(10, 500)}, Work{why: "away"}},
		"two":              {nil, []twin.Blocks{at(10, 500), at(12, 520)}, Work{seconds: 2, operations: 20, bytes: 20 * 512}},
		"since the take":   {[]twin.Blocks{at(9, 5), at(10, 500)}, []twin.Blocks{at(11, 503)}, Work{seconds: 1, operations: 3, bytes: 3 * 512}},
		"read twice":       {[]twin.Blocks{at(10, 500)}, []twin.Blocks{at(10, 500)}, Work{why: "away"}},
		"some are missing": {[]twin.Blocks{at(10, 500)}, []twin.Blocks{{}, at(14, 508), {}}, Work{seconds: 4, operations: 8, bytes: 8 * 512}},
		"idle":             {[]twin.Blocks{at(10, 500)}, []twin.Blocks{at(12, 500)}, Work{seconds: 2}},
		"out of order":     {[]twin.Blocks{at(10, 500)}, []twin.Blocks{at(12, 510), at(11, 505)}, Work{seconds: 2, operations: 10, bytes: 10 * 512}},
		"counters fell":    {[]twin.Blocks{at(10, 500)}, []twin.Blocks{at(12, 3), at(13, 7)}, Work{seconds: 1, operations: 4, bytes: 4 * 512}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var m Meter
			for _, b := range c.before {
				m.Saw(b, "")
			}
			m.Take()
			for _, b := range c.seen {
				m.Saw(b, "away")
			}
			must.Eq(t, c.want, m.Take())
		})
	}
}

func TestDisks_EffectIsTheWholeSimulation(t *testing.T) {
	var d disks
	must.StrContains(t, d.missing(), "QEMU has not answered twice")
	d.add(Work{seconds: 2, operations: 10, bytes: 4096}, Work{why: "late"})
	must.StrContains(t, d.missing(), "patched twin: late")
	d.add(Work{seconds: 2, operations: 30, bytes: 0}, Work{seconds: 4, operations: 400, bytes: 8192})
	must.Eq(t, "", d.missing())
	operations, size := d.effect(diskKPIs()[0]), d.effect(diskKPIs()[1])
	must.Eq(t, api.KPIEffect{
		KPI: api.KPIIOOperations, Kind: api.VerdictContinue, Unit: "1/s", Stable: 10, Canary: 100, Ratio: 10, Exposure: 4, Unjudged: true,
		Reason: "io_operations is 100 1/s against 10 1/s; the policy does not judge by it",
	}, operations)
	must.Eq(t, 1024, size.Stable)
	must.Eq(t, 2048, size.Canary)
}
