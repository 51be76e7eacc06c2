// Package metric keeps the few figures of a workload and writes them in the
// Prometheus text format. It stands in for a client library because the same
// binary boots inside emulated machines, where every package that initialises
// itself costs start-up time.
package metric

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Buckets are the upper bounds of duration histograms in seconds: dense where
// the services of the shop answer, wide enough for its five second timeout.
func Buckets() []float64 {
	return []float64{
		.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10,
	}
}

// Set is a set of metrics. The zero value is not usable; call New.
type Set struct {
	started time.Time

	mu       sync.Mutex
	counters map[string]map[string]float64 // name, labels
	gauges   map[string]map[string]float64
	hists    map[string]*histogram
}

type histogram struct {
	bounds []float64
	counts []uint64 // one per bound, not cumulative, then the rest
	sum    float64
}

// New returns an empty set of a process that started at the given time.
func New(started time.Time) *Set {
	return &Set{
		started:  started,
		counters: map[string]map[string]float64{},
		gauges:   map[string]map[string]float64{},
		hists:    map[string]*histogram{},
	}
}

// Label renders one label for Add and Gauge.
func Label(name, value string) string {
	return name + "=" + strconv.Quote(value)
}

// Add raises a counter. Labels are written by Label, joined by commas; empty
// means none. Adding 0 makes the counter exist, so that its first increase is
// seen as one.
func (s *Set) Add(name, labels string, n float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counters[name] == nil {
		s.counters[name] = map[string]float64{}
	}
	s.counters[name][labels] += n
}

// Gauge sets a gauge.
func (s *Set) Gauge(name, labels string, v float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gauges[name] == nil {
		s.gauges[name] = map[string]float64{}
	}
	s.gauges[name][labels] = v
}

// Observe adds a duration to a histogram.
func (s *Set) Observe(name string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hists[name]
	if h == nil {
		bounds := Buckets()
		h = &histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
		s.hists[name] = h
	}
	v := d.Seconds()
	i, _ := slices.BinarySearch(h.bounds, v)
	h.counts[i]++
	h.sum += v
}

// Counter returns a counter's value.
func (s *Set) Counter(name, labels string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters[name][labels]
}

// ServeHTTP answers with the text format.
func (s *Set) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	// A client that went away is nobody's error.
	_ = s.Write(w)
}

// Write writes all metrics, sorted by name and labels.
func (s *Set) Write(w io.Writer) error {
	buf := bufio.NewWriter(w)
	s.mu.Lock()
	writeFamily(buf, "counter", s.counters)
	writeFamily(buf, "gauge", s.gauges)
	for _, name := range slices.Sorted(maps.Keys(s.hists)) {
		s.hists[name].write(buf, name)
	}
	s.mu.Unlock()
	s.writeProcess(buf)
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

func writeFamily(w *bufio.Writer, kind string, families map[string]map[string]float64) {
	for _, name := range slices.Sorted(maps.Keys(families)) {
		fmt.Fprintf(w, "# TYPE %s %s\n", name, kind)
		for _, labels := range slices.Sorted(maps.Keys(families[name])) {
			fmt.Fprintf(w, "%s%s %s\n", name, braces(labels), number(families[name][labels]))
		}
	}
}

func (h *histogram) write(w *bufio.Writer, name string) {
	fmt.Fprintf(w, "# TYPE %s histogram\n", name)
	total := uint64(0)
	for i, bound := range h.bounds {
		total += h.counts[i]
		fmt.Fprintf(w, "%s_bucket{le=%q} %d\n", name, number(bound), total)
	}
	total += h.counts[len(h.bounds)]
	fmt.Fprintf(w, "%s_bucket{le=\"+Inf\"} %d\n", name, total)
	fmt.Fprintf(w, "%s_sum %s\n%s_count %d\n", name, number(h.sum), name, total)
}

// writeProcess writes what every Prometheus client says of its process.
func (s *Set) writeProcess(w *bufio.Writer) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		fmt.Fprintf(w, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %s\n", number(cpu.Seconds()))
		// Linux gives kilobytes; it is the peak, which is what a leak shows in.
		fmt.Fprintf(w, "# TYPE process_max_resident_memory_bytes gauge\nprocess_max_resident_memory_bytes %d\n", usage.Maxrss*1024)
	}
	fmt.Fprintf(w, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %s\n",
		number(float64(s.started.UnixMilli())/1000))
}

func braces(labels string) string {
	if labels == "" {
		return ""
	}
	return "{" + labels + "}"
}

func number(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', -1, 64), ".0")
}
