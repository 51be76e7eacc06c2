package stats

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"
)

// aMonday is the first hour of a week.
func aMonday() time.Time { return time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) }

// fill adds samples every five seconds of so many hours from Monday on.
func fill(t testing.TB, w *WeekSketch, from time.Time, hours int, value func(hour, i int) float64) {
	t.Helper()
	for h := range hours {
		for i := range 720 {
			must.NoError(t, w.Add(from.Add(time.Duration(h)*time.Hour+time.Duration(i)*5*time.Second), value(h, i)))
		}
	}
}

// daily is a load that doubles by day, with noise of a tenth.
func daily(rng *rand.Rand) func(int, int) float64 {
	return func(hour, _ int) float64 {
		return 40 * (1.5 - 0.5*math.Cos(2*math.Pi*float64(hour%24)/24)) * math.Exp(0.1*rng.NormFloat64())
	}
}

// TestWeekSketch_TellsQuantilesOfHours compares with the sorted values themselves.
func TestWeekSketch_TellsQuantilesOfHours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, n := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 3000).Draw(t, "n")
		spread := rapid.Float64Range(0, 0.7).Draw(t, "spread")
		zeros := rapid.SampledFrom([]float64{0, 0.3, 1}).Draw(t, "zeros")
		scale := math.Pow(10, float64(rapid.IntRange(-12, 12).Draw(t, "scale")))
		rng := rand.New(rand.NewPCG(seed, 1))
		w := NewWeekSketch()
		var all []float64
		for range n {
			v := scale * math.Exp(spread*rng.NormFloat64())
			if rng.Float64() < zeros {
				v = 0
			}
			all = append(all, v)
			must.NoError(t, w.Add(aMonday(), v))
		}
		slices.Sort(all)
		f := w.Figures(0)
		must.Eq(t, n, f.Samples)
		must.InDelta(t, mean(all), f.Mean, 1e-9*scale)
		for q, got := range map[float64]float64{0.5: f.P50, 0.9: f.P90, 0.99: f.P99} {
			want := all[int(math.Ceil(q*float64(n)-1e-9))-1]
			must.InDelta(t, want, got, 0.0501*want+1e-9*scale)
		}
	})
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func TestWeekSketch_TellsExactlyWhatNeverChanges(t *testing.T) {
	w := NewWeekSketch()
	fill(t, w, aMonday(), 1, func(int, int) float64 { return 100 << 20 })
	for _, w := range []*WeekSketch{w, again(t, w)} {
		f := w.Figures(0)
		must.Eq(t, [4]float64{100 << 20, 100 << 20, 100 << 20, 100 << 20}, [4]float64{f.Mean, f.P50, f.P90, f.P99})
	}
}

func TestWeekSketch_CollapsesTheLowest(t *testing.T) {
	for _, values := range [][]float64{{1e-9, 1, 2, 1e9}, {1e9, 2, 1, 1e-9}, {1, 1e9, 1e-9, 2}, {2, 2, 1e30, 5e-324}} {
		w := NewWeekSketch()
		for _, v := range values {
			must.NoError(t, w.Add(aMonday(), v))
		}
		h := w.hour(0)
		must.Eq(t, 4, h.samples())
		must.LessEq(t, hourBins, len(h.counts))
		must.LessEq(t, hourBins, cap(h.counts)/2)
		top := slices.Max(values)
		must.InDelta(t, top, h.quantile(w.bins, 1), 0.05*top)
	}
}

func TestWeekSketch_RefusesValuesThatCannotBe(t *testing.T) {
	w := NewWeekSketch()
	for _, v := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1), 1e31} {
		must.Error(t, w.Add(aMonday(), v))
		must.Error(t, w.AddShare(aMonday(), v, 1))
		must.Error(t, w.AddShare(aMonday(), 1, v))
	}
	must.Error(t, w.AddShare(aMonday(), 0, 0))
	must.Eq(t, HourFigures{}, w.Figures(0))
	must.Eq(t, HourFigures{}, w.Figures(-1))
	must.Eq(t, HourFigures{}, w.Figures(168))
}

func TestWeekSketch_WeighsEachWeekHalfOfTheNext(t *testing.T) {
	w := NewWeekSketch()
	for week := range 4 {
		at := aMonday().AddDate(0, 0, 7*week)
		fill(t, w, at, 1, func(int, int) float64 { return float64(week + 1) })
		fill(t, w, at.Add(24*time.Hour), 1, func(int, int) float64 { return 7 })
	}
	f := w.Figures(0)
	must.Eq(t, 720+360+180+90, f.Samples)
	must.InDelta(t, (4*8+3*4+2*2+1)/15.0, f.Mean, 1e-9)
	must.InDelta(t, 4, f.P50, 0.2)
	must.True(t, f.Enough())

	t.Log("a leader that starts from what was stored in the middle of an hour does not halve it again")
	must.NoError(t, w.Add(aMonday().AddDate(0, 0, 28), 5))
	before := w.Figures(0).Samples
	w = again(t, w)
	must.NoError(t, w.Add(aMonday().AddDate(0, 0, 28).Add(time.Minute), 5))
	must.Eq(t, before+1, w.Figures(0).Samples)
	must.NoError(t, w.Add(aMonday().Add(time.Minute), 5)) // a clock that was set back
	must.Eq(t, before+2, w.Figures(0).Samples)
}

func TestWeekSketch_DoesNotOverflowAtAFastPace(t *testing.T) {
	w := NewWeekSketch()
	for i := range 100_000 {
		must.NoError(t, w.Add(aMonday(), float64(i%100)))
	}
	f := w.Figures(0)
	must.Between(t, hourLimit/2-100, f.Samples, hourLimit)
	must.InDelta(t, 49, f.P50, 4)
	must.InDelta(t, 98, f.P99, 5)
	must.LessEq(t, hourLimit+1, int(f.N))
}

func TestWeekSketch_KeepsTheSumsOfShares(t *testing.T) {
	w := NewWeekSketch()
	for range 10 {
		must.NoError(t, w.AddShare(aMonday(), 1, 100))
		must.NoError(t, w.AddShare(aMonday(), 0, 20))
	}
	for _, w := range []*WeekSketch{w, again(t, w)} {
		f := w.Figures(0)
		must.Eq(t, [2]float64{10, 1200}, [2]float64{f.Events, f.Exposure})
		must.InDelta(t, 0.005, f.Mean, 1e-9)
	}
}

// TestMerge_AddsWeeksUp splits samples among two servers.
func TestMerge_AddsWeeksUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		whole, one, other := NewWeekSketch(), NewWeekSketch(), NewWeekSketch()
		for range rapid.IntRange(0, 2000).Draw(t, "n") {
			at, v := aMonday().Add(time.Duration(rng.IntN(3))*30*time.Hour), math.Exp(rng.NormFloat64())
			must.NoError(t, whole.Add(at, v))
			must.NoError(t, []*WeekSketch{one, other}[rng.IntN(2)].Add(at, v))
		}
		backwards := again(t, other)
		backwards.Merge(again(t, one))
		one.Merge(other)
		for hour := range weekLength {
			want := whole.Figures(hour)
			if want.Samples == 0 {
				must.Eq(t, 0, one.Figures(hour).Samples)
				continue
			}
			for _, got := range []HourFigures{one.Figures(hour), backwards.Figures(hour)} {
				must.InDelta(t, want.Mean, got.Mean, 1e-5*want.Mean)
				must.InDelta(t, want.P99, got.P99, 0.11*want.P99)
			}
		}
	})
}

func TestMerge_OfManyDoesNotOverflow(t *testing.T) {
	w := NewWeekSketch()
	for range 5 {
		o := NewWeekSketch()
		for i := range hourLimit {
			must.NoError(t, o.Add(aMonday(), float64(i%2)))
		}
		w.Merge(o)
	}
	must.LessEq(t, hourLimit, w.Figures(0).Samples)
	must.InDelta(t, 0.5, w.Figures(0).Mean, 0.01)
}

func TestWeekOfMeans_HasNothingButMeans(t *testing.T) {
	w := WeekOfMeans([]*float64{nil, new(3.0), new(-1.0)}, 30)
	means := w.Means()
	must.Nil(t, means[0])
	must.Eq(t, 3, *means[1])
	must.Nil(t, means[2])
	must.False(t, w.Figures(1).Enough())
	must.NoError(t, w.Add(aMonday().Add(time.Hour), 6))
	must.Between(t, 3.1, w.Figures(1).Mean, 3.3)
}

// again reads what was written.
func again(t must.T, w *WeekSketch) *WeekSketch {
	t.Helper()
	raw := w.Bytes()
	out, err := DecodeWeek(raw)
	must.NoError(t, err)
	must.Eq(t, raw, out.Bytes())
	return out
}

// TestWeekSketch_IsSmallWhenEncoded holds the sizes that package profiler's design names.
func TestWeekSketch_IsSmallWhenEncoded(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, value := range map[string]func(int, int) float64{
		"load":    daily(rng),
		"nothing": func(int, int) float64 { return 0 },
		"latency": func(int, int) float64 { return 0.1 * math.Exp(0.4*rng.NormFloat64()) },
		"errors":  func(int, int) float64 { return float64(rng.IntN(3)) / float64(100+rng.IntN(50)) },
	} {
		w := NewWeekSketch()
		sizes := []int{}
		for _, hours := range []int{1, 24, weekLength} {
			means := w.Means()
			fill(t, w, aMonday().Add(time.Duration(means.Known())*time.Hour), hours-means.Known(), value)
			sizes = append(sizes, len(w.Bytes()))
			again(t, w)
		}
		t.Logf("%s: %d bytes after an hour, %d after a day, %d after a week", name, sizes[0], sizes[1], sizes[2])
		must.LessEq(t, 8<<10, sizes[2], must.Sprint(name))
	}
}

// TestWeekSketch_IsNeverLargerThanTheLimit fills all bins of all hours with noise.
func TestWeekSketch_IsNeverLargerThanTheLimit(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	w := NewWeekSketch()
	w.at = math.MaxInt32
	for i := range weekLength {
		h := w.hour(i)
		h.n, h.mean, h.m2 = hourLimit, 1e30*rng.Float64(), 1e38*rng.Float64()
		h.events, h.exposure, h.zeros = 1e30*rng.Float64(), 1e30*rng.Float64(), uint16(200+rng.IntN(100))
		h.first = int16(rng.IntN(8000) - 4000)
		for range hourBins {
			h.counts = append(h.counts, uint16(128+rng.IntN(200)))
		}
	}
	again(t, w)
	must.Between(t, 12_000, len(w.Bytes()), MaxWeekBytes)
	must.LessEq(t, 21_504, MaxWeekBytes)
}

func TestDecodeWeek_RefusesBadWeeks(t *testing.T) {
	w := NewWeekSketch()
	must.NoError(t, w.Add(aMonday(), 1))
	good := w.Bytes()
	plain := binary.AppendUvarint(nil, 5)
	hour := append(append(plain, 1), make([]byte, 20)...) // Monday's first
	for name, bad := range map[string][]byte{
		"nothing":                nil,
		"another version":        append([]byte{9}, good[1:]...),
		"cut off":                good[:len(good)/2],
		"too long":               append(slices.Clone(good), make([]byte, MaxWeekBytes)...),
		"something behind":       pack(append(binary.AppendUvarint(nil, 0), make([]byte, 30)...)),
		"a bomb":                 pack(make([]byte, 10*weekPlain)),
		"no weight":              pack(append(slices.Clone(hour), make([]byte, 40)...)),
		"too many samples":       pack(append(slices.Clone(hour), 0xff, 0xff, 0xff, 0x7f)),
		"too many bins":          pack(append(slices.Clone(hour), 1, 1, hourBins+1, 0)),
		"bins out of range":      pack(append(binary.AppendVarint(append(slices.Clone(hour), 1, 1, 1), 20_000), make([]byte, 20)...)),
		"a mean that is none":    pack(append(slices.Clone(hour), 1, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0)),
		"a time that never come": pack(append(binary.AppendUvarint(nil, math.MaxUint64), make([]byte, 22)...)),
	} {
		_, err := DecodeWeek(bad)
		must.ErrorContains(t, err, "read week", must.Sprint(name))
	}
}

// FuzzDecodeWeek holds that no bytes upset the reader, and that what it takes is
// written as it was read and can be worked with.
func FuzzDecodeWeek(f *testing.F) {
	w := NewWeekSketch()
	rng := rand.New(rand.NewPCG(7, 8))
	fill(f, w, aMonday(), 3, daily(rng))
	must.NoError(f, w.AddShare(aMonday().Add(50*time.Hour), 1, 10))
	f.Add(w.Bytes()[1:], true)
	var plain bytes.Buffer
	plain.Write([]byte{0, 1})
	plain.Write(make([]byte, 20))
	plain.Write([]byte{1, 1, 1, 0, 1})
	plain.Write(make([]byte, 9))
	f.Add(plain.Bytes(), false)
	f.Fuzz(func(t *testing.T, raw []byte, packed bool) {
		if len(raw) > MaxWeekBytes {
			return
		}
		text := append([]byte{weekVersion}, raw...)
		if !packed { // the fuzzer seldom draws what unpacks
			text = pack(raw)
		}
		w, err := DecodeWeek(text)
		if err != nil {
			return
		}
		again(t, w)
		o := again(t, w)
		o.Merge(w)
		must.NoError(t, o.Add(aMonday(), 3))
		for hour := range weekLength {
			f := o.Figures(hour)
			must.True(t, finite(f.P50, f.P90, f.P99, f.Mean))
			must.True(t, 0 <= f.P50 && f.P50 <= f.P90 && f.P90 <= f.P99)
		}
		again(t, o)
	})
}
