package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const (
	// A restless load keeps a rate for swingMin to swingMax.
	swingMin = time.Second
	swingMax = 4 * time.Second
	// burstShare of the changes of rate begin with a burst: what swingMin of the
	// highest rate would send, at once.
	burstShare = 0.25
	// lagMost is how far requests may be behind their time before they are left
	// out, as those of a machine that stood still.
	lagMost = time.Second
)

// Swing makes a load restless: every few seconds the rate is another multiple
// between Low and High of what was asked for, any doubling as likely as any
// other, and some changes begin with a burst. The zero Swing is steady.
type Swing struct{ Low, High float64 }

// ParseSwing reads two multiples such as "0.5:3"; the empty text is steady.
func ParseSwing(text string) (Swing, error) {
	if text == "" {
		return Swing{}, nil
	}
	low, high, _ := strings.Cut(text, ":")
	var s Swing
	var errs [2]error
	s.Low, errs[0] = strconv.ParseFloat(low, 64)
	s.High, errs[1] = strconv.ParseFloat(high, 64)
	if errs[0] != nil || errs[1] != nil || !(s.Low > 0 && s.Low <= s.High) || math.IsInf(s.High, 0) {
		return Swing{}, fmt.Errorf("parse swing %q: want LOW:HIGH, two multiples above 0 such as 0.5:3", text)
	}
	return s, nil
}

// tempo says when an entry's next request is due.
type tempo struct {
	rate   float64 // requests per second on the whole, when steady
	swing  Swing
	random *rand.Rand

	factor float64
	change time.Time // when the factor changes next
	burst  int       // requests of a burst that are still to be sent
}

func newTempo(e Entry, swing Swing) *tempo {
	return &tempo{rate: e.Rate, swing: swing, factor: 1, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

// next is when the request after one at the given time is due.
func (t *tempo) next(at time.Time) time.Time {
	if t.swing.High > 0 && !at.Before(t.change) {
		t.factor = t.swing.Low * math.Pow(t.swing.High/t.swing.Low, t.random.Float64())
		t.change = at.Add(swingMin + time.Duration(t.random.Float64()*float64(swingMax-swingMin)))
		if t.random.Float64() < burstShare {
			t.burst = int(t.rate * t.swing.High * swingMin.Seconds())
		}
	}
	if t.burst > 0 {
		t.burst--
		return at
	}
	gap := time.Duration(float64(time.Second) / (t.rate * t.factor))
	if t.swing.High > 0 && t.change.After(at) {
		gap = min(gap, t.change.Sub(at)) // a slow entry changes in time too
	}
	return at.Add(gap)
}
