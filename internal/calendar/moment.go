package calendar

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // time zones must not depend on the host

	"github.com/hashicorp/cronexpr"
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

// ParseStart reads a cron expression of five fields.
func ParseStart(text string) (*cronexpr.Expression, error) {
	problem := errors.New("want a cron expression of five fields (minute, hour, day, month, weekday), such as \"0 22 * * 1-5\"")
	if len(text) > 200 || len(strings.Fields(text)) != 5 {
		return nil, problem
	}
	expr, err := cronexpr.Parse(text)
	if err != nil {
		return nil, problem
	}
	if expr.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("this day never comes; want a cron expression that begins some time")
	}
	return expr, nil
}
