package stats

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	// weekVersion begins an encoded week.
	weekVersion = 1
	// weekPlain is the most that a week is before it is packed: 168 hours of 48
	// bins of two bytes, and 28 bytes for the rest of each.
	weekPlain = 64 + weekLength*(2*hourBins+28)
	// MaxWeekBytes bounds an encoded week. A week that does not shrink is stored as it
	// is, with five bytes for each block.
	MaxWeekBytes = weekPlain + 64
)

// Bytes is the sketch in a form that DecodeWeek reads. It is at most MaxWeekBytes
// long (21 KB); a week of ordinary samples takes 3 to 6 KB. Moments are kept in
// single precision. Numbers of one kind stand together, because they pack better so:
// all weights, then all bins, then all means.
func (w *WeekSketch) Bytes() []byte {
	plain := make([]byte, 0, 4<<10)
	plain = binary.AppendUvarint(plain, uint64(w.at))
	var hours []*hourSketch
	var seen [weekLength / 8]byte
	var shares bool
	for i := range weekLength {
		if h := w.seen(i); h != nil {
			seen[i/8] |= 1 << (i % 8)
			hours = append(hours, h)
			shares = shares || h.exposure > 0
		}
	}
	plain = append(plain, seen[:]...)
	for _, h := range hours {
		plain = binary.AppendUvarint(plain, uint64(max(math.Round(h.n), 1)))
		plain = binary.AppendUvarint(plain, uint64(h.zeros))
	}
	last := int16(0)
	for _, h := range hours {
		plain = append(plain, byte(len(h.counts)))
		plain = binary.AppendVarint(plain, int64(h.first)-int64(last))
		last = h.first
	}
	for _, h := range hours {
		for _, c := range h.counts {
			plain = binary.AppendUvarint(plain, uint64(c))
		}
	}
	plain = appendPlanes(plain, hours, func(h *hourSketch) float64 { return h.mean })
	plain = appendPlanes(plain, hours, func(h *hourSketch) float64 { return math.Sqrt(h.m2 / h.n) })
	if !shares {
		return pack(append(plain, 0))
	}
	plain = append(plain, 1)
	plain = appendPlanes(plain, hours, func(h *hourSketch) float64 { return h.events })
	plain = appendPlanes(plain, hours, func(h *hourSketch) float64 { return h.exposure })
	return pack(plain)
}

// appendPlanes writes a number of each hour in single precision: first all highest
// bytes, which resemble each other, then the next.
func appendPlanes(to []byte, hours []*hourSketch, of func(*hourSketch) float64) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		for _, h := range hours {
			to = append(to, byte(math.Float32bits(float32(of(h)))>>shift))
		}
	}
	return to
}

func pack(plain []byte) []byte {
	out := bytes.NewBuffer([]byte{weekVersion})
	packer, err := flate.NewWriter(out, flate.DefaultCompression)
	if err == nil {
		_, err = packer.Write(plain)
	}
	if err == nil {
		err = packer.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("stats: pack week: %v", err)) //nolint:forbidigo // only a wrong level gets here: the buffer takes everything
	}
	return out.Bytes()
}

// DecodeWeek reads Bytes. What Bytes could not have written is an error.
func DecodeWeek(raw []byte) (*WeekSketch, error) {
	if len(raw) == 0 || raw[0] != weekVersion {
		return nil, errors.New("read week: it is not of a known version")
	}
	if len(raw) > MaxWeekBytes {
		return nil, fmt.Errorf("read week: it has %d bytes, want at most %d", len(raw), MaxWeekBytes)
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw[1:])), weekPlain+1))
	if err == nil && len(plain) > weekPlain {
		err = errors.New("it unpacks to more than a week")
	}
	if err != nil {
		return nil, fmt.Errorf("read week: %w", err)
	}
	w := NewWeekSketch()
	r := weekReader{rest: plain}
	r.week(w)
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("there is something behind it")
	}
	if r.err != nil {
		return nil, fmt.Errorf("read week: %w", r.err)
	}
	return w, nil
}

// weekReader reads numbers and remembers the first error, after which all are 0.
type weekReader struct {
	rest []byte
	err  error
}

func (r *weekReader) week(w *WeekSketch) {
	w.at = int64(r.number(math.MaxInt32)) // hours: 245,000 years
	seen := r.take(weekLength / 8)
	var hours []*hourSketch
	for i := range weekLength {
		if r.err == nil && seen[i/8]&(1<<(i%8)) != 0 {
			hours = append(hours, w.hour(i))
		}
	}
	for _, h := range hours {
		h.n = float64(r.number(hourLimit))
		h.zeros = uint16(r.number(hourLimit))
		if h.n == 0 {
			r.fail("an hour without weight")
		}
	}
	first := int64(0)
	for _, h := range hours {
		h.counts = make([]uint16, r.bins())
		first += r.signed()
		if first < math.MinInt16/2 || first > math.MaxInt16/2 {
			r.fail("a bin out of range")
		}
		h.first = int16(first)
	}
	for _, h := range hours {
		for i := range h.counts {
			h.counts[i] = uint16(r.number(hourLimit))
		}
		if h.samples() > int(h.n) {
			r.fail("more samples than they weigh")
		}
	}
	r.planes(hours, func(h *hourSketch, v float64) { h.mean = v })
	r.planes(hours, func(h *hourSketch, v float64) { h.m2 = v * v * h.n })
	if r.byte() == 0 {
		return
	}
	r.planes(hours, func(h *hourSketch, v float64) { h.events = v })
	r.planes(hours, func(h *hourSketch, v float64) { h.exposure = v })
}

func (r *weekReader) fail(what string) {
	if r.err == nil {
		r.err, r.rest = errors.New(what), nil
	}
}

// take returns the next n bytes, nil when there are fewer.
func (r *weekReader) take(n int) []byte {
	if len(r.rest) < n {
		r.fail("it is cut off")
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *weekReader) byte() int {
	if b := r.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

// bins reads how many bins there are.
func (r *weekReader) bins() int {
	n := r.byte()
	if n > hourBins {
		r.fail("too many bins")
		return 0
	}
	return n
}

// number reads one of 0 to most.
func (r *weekReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.fail("a number is cut off or out of range")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *weekReader) signed() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 || v < math.MinInt16 || v > math.MaxInt16 {
		r.fail("a number is cut off or out of range")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// planes undoes appendPlanes.
func (r *weekReader) planes(hours []*hourSketch, set func(*hourSketch, float64)) {
	raw := r.take(4 * len(hours))
	if raw == nil {
		return
	}
	n := len(hours)
	for i, h := range hours {
		bits := uint32(raw[i])<<24 | uint32(raw[n+i])<<16 | uint32(raw[2*n+i])<<8 | uint32(raw[3*n+i])
		v := float64(math.Float32frombits(bits))
		if !(v >= 0 && v <= math.MaxFloat32/2) {
			r.fail("a value out of range")
		}
		set(h, v)
	}
}
