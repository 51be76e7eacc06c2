package calendar

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // time zones must not depend on the host
)

// ParseMoment reads a date, which means its first moment in the zone, or a
// time with its offset.
func ParseMoment(text, zone string) (time.Time, error) {
	location, err := time.LoadLocation(zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("load time zone: %w", err)
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, location); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	return time.Time{}, errors.New("want a date such as \"2026-12-18\" or a time such as \"2026-12-18T18:00:00Z\"")
}
