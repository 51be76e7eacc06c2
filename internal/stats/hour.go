package stats

import (
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

const (
	// hourBins is how many bins an hour of the week has at most. At five percent they
	// cover a factor of 120 below the largest value. Smaller values collapse into the
	// lowest bin.
	hourBins = 48
	// hourLimit is where an hour halves its weights. Two bytes hold it in the
	// encoding, and it is four hours of a sample every second.
	hourLimit = 1<<14 - 1
	// hourMost is the largest value that is taken, well within single precision.
	hourMost = 1e30
)

// hourSketch sums up the samples of one hour of the week: it has exact moments, and
// counts of samples in bins whose bounds grow by a tenth. It is empty while n is 0.
type hourSketch struct {
	n, mean, m2      float64 // of the samples: weight, mean, sum of squared deviations
	events, exposure float64 // of a count, whose samples are events/exposure
	zeros            uint16  // samples that are 0, or too small for a bin
	first            int16   // index of the first bin
	counts           []uint16
}

// add takes one value, with its events and exposure when it is a share.
func (h *hourSketch) add(m *mapping.LogarithmicMapping, value, events, exposure float64) {
	h.n++
	delta := value - h.mean
	h.mean += delta / h.n
	h.m2 += delta * (value - h.mean)
	h.events += events
	h.exposure += exposure
	if value < m.MinIndexableValue() {
		h.zeros++
	} else {
		h.bin(m.Index(value), 1)
	}
	if h.n > hourLimit {
		h.halve()
	}
}

// samples is how many samples the bins hold, at most n.
func (h *hourSketch) samples() int {
	n := int(h.zeros)
	for _, c := range h.counts {
		n += int(c)
	}
	return n
}

// bin adds to one bin, and makes room for it: the lowest bins collapse into one
// when there are too many.
func (h *hourSketch) bin(index int, count uint16) {
	if len(h.counts) == 0 {
		h.first, h.counts = int16(index), []uint16{count}
		return
	}
	h.collapse(index - hourBins + 1)
	first, last := int(h.first), int(h.first)+len(h.counts)-1
	index = max(index, last-hourBins+1)
	switch {
	case index < first:
		h.counts = slices.Insert(h.counts, 0, make([]uint16, first-index)...)
		h.first = int16(index)
	case index > last:
		h.counts = append(h.counts, make([]uint16, index-last)...)
	}
	h.counts[index-int(h.first)] += count
}

// collapse puts all that is in bins below low into that one.
func (h *hourSketch) collapse(low int) {
	drop := low - int(h.first)
	if drop <= 0 {
		return
	}
	var sum uint16
	for _, c := range h.counts[:min(drop+1, len(h.counts))] {
		sum += c
	}
	h.counts = slices.Delete(h.counts, 0, min(drop, len(h.counts)-1))
	h.first, h.counts[0] = int16(low), sum
}

// halve halves all weights. It is the numbers of samples up to each bin that are
// halved, so that no quantile moves by more than one sample, and a thin tail is
// thinned and not cut off.
func (h *hourSketch) halve() {
	h.n, h.m2, h.events, h.exposure = h.n/2, h.m2/2, h.events/2, h.exposure/2
	var seen, kept uint32
	half := func(c uint16) uint16 {
		seen += uint32(c)
		next := seen / 2
		c, kept = uint16(next-kept), next
		return c
	}
	h.zeros = half(h.zeros)
	for i, c := range h.counts {
		h.counts[i] = half(c)
	}
	h.trim()
}

// trim drops empty bins at both ends and spare room.
func (h *hourSketch) trim() {
	from, to := 0, len(h.counts)
	for to > 0 && h.counts[to-1] == 0 {
		to--
	}
	for from < to && h.counts[from] == 0 {
		from++
	}
	if from == to {
		h.first, h.counts = 0, nil
		return
	}
	h.first += int16(from)
	h.counts = slices.Clone(h.counts[from:to])
}

// merge adds another hour's samples.
func (h *hourSketch) merge(o *hourSketch) {
	if o.n == 0 {
		return
	}
	n := h.n + o.n
	delta := o.mean - h.mean
	h.m2 += o.m2 + delta*delta*h.n*o.n/n
	h.mean += delta * o.n / n
	h.n, h.events, h.exposure = n, h.events+o.events, h.exposure+o.exposure
	h.zeros += o.zeros // each is at most hourLimit, and twice that fits
	for i, c := range slices.Backward(o.counts) {
		if c > 0 {
			h.bin(int(o.first)+i, c)
		}
	}
	for h.n > hourLimit {
		h.halve()
	}
}

// quantile is the least value that the share q of the samples, between 0 and 1, does
// not exceed. It is 0 if the hour is empty. The bins give the value within five
// percent. The moments then limit it (Cantelli's inequality), so the quantile of
// samples that are all equal is exact.
func (h *hourSketch) quantile(m *mapping.LogarithmicMapping, q float64) float64 {
	total := h.samples()
	if total == 0 {
		return 0
	}
	rank := math.Ceil(q*float64(total)-1e-9) - 1 // of the sample that ends the share
	below := float64(h.zeros)
	value := 0.0
	if below <= rank {
		for i, c := range h.counts {
			value = m.Value(int(h.first) + i)
			if below += float64(c); below > rank {
				break
			}
		}
	}
	deviation := math.Sqrt(h.m2 / h.n)
	low := h.mean - deviation*math.Sqrt((1-q)/q)
	high := h.mean + deviation*math.Sqrt(q/(1-q))
	return min(max(value, low, 0), high)
}
