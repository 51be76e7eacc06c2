package fault_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oakumhq/oakum/examples/shop/fault"
	"github.com/shoenig/test/must"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       fault.Spec
	}{
		{"none", " ", nil},
		{"plain", "latency=30ms,errors=0.3,cpu=5ms", fault.Spec{{Latency: 30 * time.Millisecond, Errors: 0.3, CPU: 5 * time.Millisecond}}},
		{"conditional", "errors=1;above_rps=8", fault.Spec{{Errors: 1, AboveRPS: 8}}},
		{"all", "slow=0.05:400ms, leak=64k ,disk=2m,crash=3s,garbage=0.2,unhealthy", fault.Spec{{
			SlowShare: 0.05, Slow: 400 * time.Millisecond, Leak: 64 << 10, Disk: 2 << 20, Crash: 3 * time.Second, Garbage: 0.2, Unhealthy: true,
		}}},
		{"a format", "migrate=2", fault.Spec{{Migrate: 2}}},
		{"two rules", "latency=1ms|errors=0.5;above_rps=2.5", fault.Spec{{Latency: time.Millisecond}, {Errors: 0.5, AboveRPS: 2.5}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := fault.Parse(tc.text)
			must.NoError(t, err)
			must.Eq(t, "", cmp.Diff(tc.want, got))
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"latency=fast", "want a duration"},
		{"latency=-1s", "want a duration"},
		{"errors=1.5", "between 0 and 1"},
		{"errors=NaN", "between 0 and 1"},
		{"slow=400ms", "SHARE:DURATION"},
		{"leak=9999999m", "at most 1 GiB"},
		{"disk=0", "want bytes"},
		{"unhealthy=yes", "takes no value"},
		{"migrate=1", "above 1"},
		{"migrate=new", "above 1"},
		{"smoke=1", "unknown fault"},
		{"errors=1;below_rps=3", "unknown condition"},
		{"errors=1;above_rps=NaN", "above 0"},
		{"errors=1|", "unknown fault"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			_, err := fault.Parse(tc.text)
			must.ErrorContains(t, err, tc.want)
			must.ErrorContains(t, err, tc.text)
		})
	}
}

func TestGateStrikesOnlyAboveRate(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	spec, err := fault.Parse("latency=30ms,errors=1;above_rps=8")
	must.NoError(t, err)
	gate := fault.NewGate(spec, start)

	// Five requests a second never reach the condition.
	now := start
	for range 50 {
		now = now.Add(200 * time.Millisecond)
		must.Eq(t, fault.Effect{}, gate.Request(now))
	}
	// Twenty a second do, once two seconds hold more than sixteen.
	var last fault.Effect
	for range 40 {
		now = now.Add(50 * time.Millisecond)
		last = gate.Request(now)
	}
	must.Eq(t, fault.Effect{Delay: 30 * time.Millisecond, Fail: true}, last)
	must.Between(t, 19, gate.Rate(now), 21)

	// And after a silence they don't.
	must.Eq(t, fault.Effect{}, gate.Request(now.Add(time.Minute)))
}

func TestGateHealthAndCrash(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	spec, err := fault.Parse("unhealthy|crash=10s")
	must.NoError(t, err)
	gate := fault.NewGate(spec, start)
	must.False(t, gate.Healthy(start))
	must.False(t, gate.Crashed(start.Add(9*time.Second)))
	must.True(t, gate.Crashed(start.Add(10*time.Second)))
	must.True(t, gate.CanCrash())
	must.True(t, fault.NewGate(nil, start).Healthy(start))
	must.False(t, fault.NewGate(nil, start).CanCrash())
}

func TestGateAddsTheRulesUp(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	spec, err := fault.Parse("cpu=5ms,disk=64k|cpu=1ms,disk=1k,leak=2k")
	must.NoError(t, err)
	must.Eq(t, fault.Effect{Busy: 6 * time.Millisecond, Disk: 65 << 10, Leak: 2 << 10}, fault.NewGate(spec, start).Request(start))
}

func TestGateErrorShare(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	spec, err := fault.Parse("errors=0.3")
	must.NoError(t, err)
	gate := fault.NewGate(spec, start)
	failed := 0
	for range 10000 {
		if gate.Request(start).Fail {
			failed++
		}
	}
	// Ten standard deviations around the mean.
	must.Between(t, 2540, failed, 3460)
}

func FuzzParse(f *testing.F) {
	f.Add("latency=30ms,errors=0.3,cpu=5ms;above_rps=8")
	f.Add("slow=0.05:400ms|leak=64k;above_rps=20")
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := fault.Parse(text)
		if err != nil {
			return
		}
		for _, rule := range spec {
			must.True(t, rule.Errors >= 0 && rule.Errors <= 1)
			must.True(t, rule.Latency >= 0 && rule.Leak >= 0 && rule.Disk >= 0 && rule.AboveRPS >= 0)
		}
	})
}
