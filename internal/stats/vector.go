package stats

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// Vector is a list of floats that JSON carries as base64 of little-endian
// IEEE 754 bits: short, exact, and able to hold infinities.
type Vector []float64

// MarshalJSON writes the base64 text.
func (v Vector) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, 8*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
	}
	return json.Marshal(base64.RawStdEncoding.EncodeToString(raw))
}

// UnmarshalJSON reads the base64 text.
func (v *Vector) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("read vector: %w", err)
	}
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("read vector: %w", err)
	}
	if len(raw)%8 != 0 {
		return fmt.Errorf("read vector: %d bytes are not whole floats", len(raw))
	}
	out := make(Vector, len(raw)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	*v = out
	return nil
}

// LogMeanExp is the logarithm of the mean of exp(v): the e-value of an equal
// mixture of the processes whose logarithms are given. An empty list is the
// e-value one.
func LogMeanExp(v ...float64) float64 {
	if len(v) == 0 {
		return 0
	}
	top := math.Inf(-1)
	for _, x := range v {
		top = max(top, x)
	}
	if math.IsInf(top, 0) {
		return top
	}
	var sum float64
	for _, x := range v {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum/float64(len(v)))
}

// Log10 turns a natural logarithm into a decimal one.
func Log10(natural float64) float64 { return natural / math.Ln10 }

// finite reports whether all values are ordinary numbers.
func finite(values ...float64) bool {
	for _, x := range values {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// largest is the largest number of a list that is not empty. Four at a time, since
// each look takes it of every process: the comparisons then do not wait for one
// another. What is not a number is passed over.
func largest(v []float64) float64 {
	a, b, c, d := v[0], v[0], v[0], v[0]
	for ; len(v) >= 4; v = v[4:] {
		if v[0] > a {
			a = v[0]
		}
		if v[1] > b {
			b = v[1]
		}
		if v[2] > c {
			c = v[2]
		}
		if v[3] > d {
			d = v[3]
		}
	}
	for _, x := range v {
		if x > a {
			a = x
		}
	}
	return max(a, b, c, d)
}
