package figure_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/figure"
)

func TestAmount(t *testing.T) {
	for _, tc := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "seconds", "0 ms"}, {0.0000123, "s", "12.3 µs"}, {0.0123, "s", "12.3 ms"}, {1.5, "seconds", "1.5 s"},
		{512, "bytes", "512 B"}, {1 << 20, "B", "1 MiB"}, {3 << 30, "bytes", "3 GiB"}, {2048, "bytes/s", "2 KiB/s"},
		{0.0123, "ratio", "1.23 %"}, {0.5, "share", "50 %"}, {12.34, "", "12.34"}, {1.5, "cores", "1.5 cores"},
	} {
		must.EqOp(t, tc.want, figure.Amount(tc.value, tc.unit))
	}
}

func TestSpan_HasTwoUnitsAtMost(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 1500 * time.Microsecond: "2ms", 61 * time.Second: "1m1s", 90 * time.Minute: "1h30m", 50 * time.Hour: "2d2h",
	} {
		must.EqOp(t, want, figure.Span(d))
	}
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.FixedZone("", 3600))
	must.EqOp(t, "2026-03-02 09:00:00 UTC", figure.Stamp(at))
	must.EqOp(t, "", figure.Stamp(time.Time{}))
	must.EqOp(t, "never", figure.Age(at, time.Time{}))
	must.EqOp(t, "1m0s", figure.Age(at.Add(time.Minute), at))
	must.EqOp(t, "1 target", figure.Count(1, "target"))
	must.EqOp(t, "0 targets", figure.Count(0, "target"))
}
