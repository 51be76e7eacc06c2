package load

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// seconds counts the requests of each second.
func seconds(t *tempo, start time.Time, length int) []int {
	counts := make([]int, length)
	for at := start; ; {
		at = t.next(at)
		second := int(at.Sub(start) / time.Second)
		if second >= length {
			return counts
		}
		counts[second]++
	}
}

func TestSteadyTempo(t *testing.T) {
	for i, n := range seconds(newTempo(Entry{Rate: 40}, Swing{}), time.Unix(0, 0), 60) {
		must.Between(t, 39, n, 41, must.Sprint(i))
	}
}

func TestRestlessTempo(t *testing.T) {
	const rate = 40
	counts := seconds(newTempo(Entry{Rate: rate}, Swing{0.5, 3}), time.Unix(0, 0), 600)
	slow, fast, bursts, sum := 0, 0, 0, 0
	for _, n := range counts {
		sum += n
		switch {
		case n > 3*rate*5/4:
			bursts++
		case n > 2*rate:
			fast++
		case n < rate*4/5:
			slow++
		}
	}
	// Of 240 changes or so a quarter begins with a burst, and each doubling is as
	// likely as another.
	must.Between(t, 20, bursts, 120)
	must.Greater(t, 60, fast)
	must.Greater(t, 60, slow)
	must.Between(t, rate, sum/len(counts), 3*rate)
}

func TestParseSwing(t *testing.T) {
	s, err := ParseSwing("0.5:3")
	must.NoError(t, err)
	must.Eq(t, Swing{0.5, 3}, s)
	s, err = ParseSwing("")
	must.NoError(t, err)
	must.Eq(t, Swing{}, s)
	for _, text := range []string{"3", "3:0.5", "0:1", "a:b", "1:NaN", "1:Inf"} {
		_, err := ParseSwing(text)
		must.ErrorContains(t, err, "want LOW:HIGH")
	}
}
