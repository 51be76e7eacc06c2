// Package figure writes times, durations, counts and KPIs for people: the command line and
// the web page write them alike.
package figure

import (
	"fmt"
	"time"
)

// Stamp writes a time for a person.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// Age is how long ago t was, with two units at most.
func Age(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return Span(now.Sub(t))
}

// Span is a duration with two units at most; a negative one is zero.
func Span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Amount writes a KPI's value in its unit.
func Amount(v float64, unit string) string {
	switch unit {
	case "s", "seconds":
		switch {
		case v == 0:
			return "0 ms"
		case v < 0.001:
			return fmt.Sprintf("%.3g µs", v*1e6)
		case v < 1:
			return fmt.Sprintf("%.3g ms", v*1e3)
		}
		return fmt.Sprintf("%.3g s", v)
	case "B", "bytes":
		switch {
		case v >= 1<<30:
			return fmt.Sprintf("%.3g GiB", v/(1<<30))
		case v >= 1<<20:
			return fmt.Sprintf("%.4g MiB", v/(1<<20))
		case v >= 1<<10:
			return fmt.Sprintf("%.4g KiB", v/(1<<10))
		}
		return fmt.Sprintf("%.0f B", v)
	case "bytes/s":
		return Amount(v, "bytes") + "/s"
	case "ratio", "share":
		return fmt.Sprintf("%.3g %%", v*100)
	case "":
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

// Count writes 1 target, 2 targets.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
