// Package fault makes a workload worse on purpose. It owns the syntax of fault
// specifications and the decision which faults strike now; the workload carries
// them out. It reads no clock: callers pass the time.
//
// A specification is a list of rules joined by "|". A rule is a list of faults
// joined by ",", optionally followed by ";above_rps=N", which lets its faults
// strike only while this instance has served more than N requests per second
// over the last two seconds:
//
//	latency=30ms,errors=0.3,cpu=5ms;above_rps=8
//	unhealthy
//	slow=0.05:400ms|leak=64k;above_rps=20
//	disk=64k
//	migrate=2
package fault

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Rule is a set of faults with one condition.
type Rule struct {
	Latency   time.Duration // added to every request
	SlowShare float64       // share of requests that Slow is added to
	Slow      time.Duration
	Errors    float64       // share of requests answered with an error
	Garbage   float64       // share of requests answered as if well, with what no caller can read
	CPU       time.Duration // busy time per request
	Leak      int64         // bytes kept for ever per request
	Disk      int64         // bytes written to the disk and synced, per request
	Crash     time.Duration // exit this long after the start
	Unhealthy bool          // the health endpoint answers with an error
	Migrate   int           // format that the data is written in at the start, above 1
	AboveRPS  float64       // condition; zero means always
}

// Spec is a parsed specification. The zero Spec has no faults.
type Spec []Rule

// Parse reads a specification; the empty text has no faults.
func Parse(text string) (Spec, error) {
	var spec Spec
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, "|") {
		rule, err := parseRule(part)
		if err != nil {
			return nil, fmt.Errorf("parse faults %q: %w", text, err)
		}
		spec = append(spec, rule)
	}
	return spec, nil
}

// Format is the format of the data that a service with these faults writes: 1 without.
func (s Spec) Format() int {
	out := 1
	for _, r := range s {
		out = max(out, r.Migrate)
	}
	return out
}

func parseRule(text string) (Rule, error) {
	var rule Rule
	faults, condition, conditional := strings.Cut(text, ";")
	if conditional {
		key, value, _ := strings.Cut(strings.TrimSpace(condition), "=")
		if key != "above_rps" {
			return rule, fmt.Errorf("unknown condition %q, want above_rps=N", condition)
		}
		rps, err := strconv.ParseFloat(value, 64)
		if err != nil || !(rps > 0) || math.IsInf(rps, 0) {
			return rule, fmt.Errorf("above_rps=%q: want a number above 0", value)
		}
		rule.AboveRPS = rps
	}
	for fault := range strings.SplitSeq(faults, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(fault), "=")
		if err := rule.set(key, value); err != nil {
			return rule, err
		}
	}
	return rule, nil
}

func (r *Rule) set(key, value string) error {
	var err error
	switch key {
	case "latency":
		r.Latency, err = duration(value)
	case "cpu":
		r.CPU, err = duration(value)
	case "crash":
		r.Crash, err = duration(value)
	case "errors":
		r.Errors, err = share(value)
	case "garbage":
		r.Garbage, err = share(value)
	case "slow":
		portion, length, ok := strings.Cut(value, ":")
		if !ok {
			return fmt.Errorf("slow=%q: want SHARE:DURATION", value)
		}
		if r.SlowShare, err = share(portion); err == nil {
			r.Slow, err = duration(length)
		}
	case "leak":
		r.Leak, err = size(value)
	case "disk":
		r.Disk, err = size(value)
	case "migrate":
		r.Migrate, err = strconv.Atoi(value)
		if err != nil || r.Migrate < 2 {
			err = fmt.Errorf("want a whole number above 1")
		}
	case "unhealthy":
		r.Unhealthy = true
		if value != "" {
			err = fmt.Errorf("takes no value")
		}
	default:
		return fmt.Errorf("unknown fault %q, want latency, slow, errors, garbage, cpu, leak, disk, migrate, crash or unhealthy", key)
	}
	if err != nil {
		return fmt.Errorf("%s=%q: %w", key, value, err)
	}
	return nil
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("want a duration above 0 such as 30ms")
	}
	return d, nil
}

func share(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, fmt.Errorf("want a share between 0 and 1")
	}
	return f, nil
}

func size(text string) (int64, error) {
	factor := int64(1)
	switch {
	case strings.HasSuffix(text, "k"):
		factor, text = 1<<10, strings.TrimSuffix(text, "k")
	case strings.HasSuffix(text, "m"):
		factor, text = 1<<20, strings.TrimSuffix(text, "m")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1<<30/factor {
		return 0, fmt.Errorf("want bytes such as 64k, at most 1 GiB")
	}
	return n * factor, nil
}
