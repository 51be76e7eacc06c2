package calendar

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

const (
	// ruleHorizon is how many years a rule is followed. The rarest day, the 29th of February
	// on a certain weekday, comes within forty years.
	ruleHorizon = 41
	// dayStartsMax is how often a rule may begin a window in one day.
	dayStartsMax = 48
	// positionsMax is the most BYSETPOS that a rule may have.
	positionsMax = 16
	// era is a number of years after which days, weekdays and leap years come again. Rules
	// are followed that much later: the library looks for a day that never comes until the
	// year 9999.
	era = 19 * 400
	// intervalMax and countMax bound INTERVAL and COUNT.
	intervalMax, countMax = 1000, 1000
	// followMax is the longest time that a rule is followed through in place of beginning with
	// another period.
	followMax = 31 * 24 * time.Hour
	// firstYear and lastYear bound DTSTART, from which COUNT is counted.
	firstYear, lastYear = 2000, 2100
)

// rule is a recurrence rule.
type rule struct {
	option rrule.ROption // whose times say all of themselves, but for the day that it begins with
	own    bool          // it says itself where it begins
	since  time.Time     // after which seen begins
	seen   []time.Time   // starts, each later than the one before
	more   rrule.Next    // goes on from seen; nil before the first question
}

func parseRule(text string) (Starts, error) {
	if err := ruleText(text); err != nil {
		return nil, err
	}
	option, err := rrule.StrToROption(strings.ReplaceAll(strings.TrimSpace(text), "\r\n", "\n"))
	if err != nil {
		return nil, fmt.Errorf("want a rule such as \"RRULE:FREQ=MONTHLY;BYDAY=2TU;BYHOUR=22\": %w", err)
	}
	r := &rule{option: *option, own: !option.Dtstart.IsZero()}
	if err := r.check(); err != nil {
		return nil, err
	}
	r.explicit()
	if _, err := rrule.NewRRule(r.from(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))); err != nil {
		return nil, fmt.Errorf("this rule can't be followed: %w", err)
	}
	return r, nil
}

// ruleText refuses what the parser of rules would take for something else.
func ruleText(text string) error {
	if upper := strings.ToUpper(text); strings.Contains(upper, "TZID") {
		return errors.New("a rule is read on the wall clock of the window's timezone: leave TZID out")
	}
	seen := map[string]bool{}
	for _, part := range strings.FieldsFunc(strings.ReplaceAll(text, "RRULE:", ""), func(r rune) bool { return r == ';' || r == '\n' }) {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if name, moment, ok := strings.Cut(key, ":"); ok {
			key, value = name, moment
		}
		if seen[key] {
			return fmt.Errorf("%s stands twice; want it once", key)
		}
		seen[key] = true
		if (key == "DTSTART" || key == "UNTIL") && strings.HasSuffix(value, "Z") {
			return fmt.Errorf("%s=%s: a rule is read on the wall clock of the window's timezone: leave the Z out", key, value)
		}
	}
	return nil
}

// check refuses what is not of RFC 5545, what says too little, and what would take long to
// follow.
func (r *rule) check() error {
	o := r.option
	within := o.Freq == rrule.MONTHLY || o.Freq == rrule.YEARLY && len(o.Bymonth) > 0
	days := len(o.Byweekday) + len(o.Bymonthday) + len(o.Byyearday) + len(o.Byweekno)
	switch {
	case o.Freq > rrule.DAILY:
		return errors.New("want FREQ=YEARLY, MONTHLY, WEEKLY or DAILY; hours of a day are BYHOUR=1,13")
	case len(o.Bysecond) > 0:
		return errors.New("a window begins at a full minute: leave BYSECOND out")
	case len(o.Byeaster) > 0:
		return errors.New("RFC 5545 has no BYEASTER; days that move are left out by except")
	case o.Interval > intervalMax || o.Interval < 0:
		return fmt.Errorf("want INTERVAL from 1 to %d", intervalMax)
	case o.Count > countMax || o.Count < 0:
		return fmt.Errorf("want COUNT from 1 to %d; a rule may end by UNTIL too", countMax)
	case r.own && (o.Dtstart.Year() < firstYear || o.Dtstart.Year() > lastYear):
		return fmt.Errorf("want DTSTART from the year %d to %d", firstYear, lastYear)
	case !r.own && (o.Interval > 1 || o.Count > 0):
		return errors.New("INTERVAL and COUNT need to know what to count from: begin with a line such as DTSTART:20260106T220000")
	case !r.own && len(o.Byhour) == 0:
		return errors.New("want the hour: BYHOUR=22, or a line such as DTSTART:20260106T220000")
	case !r.own && days == 0 && o.Freq != rrule.DAILY:
		return errors.New("want the day: BYDAY=TU or BYMONTHDAY=1, or a line such as DTSTART:20260106T220000")
	case len(o.Bysetpos) > positionsMax:
		return fmt.Errorf("BYSETPOS has %d positions; want at most %d", len(o.Bysetpos), positionsMax)
	case len(o.Bysetpos) > 0 && o.Freq == rrule.DAILY:
		return errors.New("BYSETPOS chooses among the days of a week, a month or a year; want FREQ=WEEKLY, MONTHLY or YEARLY")
	case max(1, len(o.Byhour))*max(1, len(o.Byminute)) > dayStartsMax:
		return fmt.Errorf("BYHOUR and BYMINUTE make %d times a day; want at most %d", len(o.Byhour)*len(o.Byminute), dayStartsMax)
	}
	for _, day := range o.Byweekday {
		switch n := max(day.N(), -day.N()); {
		case n > 0 && (o.Freq > rrule.MONTHLY || len(o.Byweekno) > 0):
			return fmt.Errorf("BYDAY=%s: a number before a weekday counts the days of a month or a year: want FREQ=MONTHLY or YEARLY, without BYWEEKNO", day)
		case n > 5 && within:
			return fmt.Errorf("BYDAY=%s: no month has as many; want at most 5", day)
		}
	}
	return nil
}

// explicit has the rule say which of its times the day that it begins with would say for it.
func (r *rule) explicit() {
	o := &r.option
	o.Interval = max(1, o.Interval)
	o.Bysecond = []int{0}
	if !r.own {
		if len(o.Byminute) == 0 {
			o.Byminute = []int{0}
		}
		return
	}
	if len(o.Byhour) == 0 {
		o.Byhour = []int{o.Dtstart.Hour()}
	}
	if len(o.Byminute) == 0 {
		o.Byminute = []int{o.Dtstart.Minute()}
	}
	if len(o.Byweekday)+len(o.Bymonthday)+len(o.Byyearday)+len(o.Byweekno) > 0 {
		return
	}
	switch day := o.Dtstart.Day(); {
	case o.Freq == rrule.WEEKLY:
		o.Byweekday = []rrule.Weekday{weekdays()[(int(o.Dtstart.Weekday())+6)%7]}
	case o.Freq == rrule.YEARLY && len(o.Bymonth) == 0:
		o.Bymonth, o.Bymonthday = []int{int(o.Dtstart.Month())}, []int{day}
	case o.Freq != rrule.DAILY:
		o.Bymonthday = []int{day}
	}
}

func weekdays() [7]rrule.Weekday {
	return [7]rrule.Weekday{rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU}
}

// from is the rule as far as it matters after t: it begins with the period that t is in, so
// that it need not be followed from the beginning of time. Where it counts, it begins where
// it says. All is an era later.
func (r *rule) from(t time.Time) rrule.ROption {
	option := r.option
	begin := option.Dtstart
	if !r.own {
		begin = time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if option.Count == 0 {
		if at := r.period(begin, t); at.After(begin) {
			begin = at
		}
	}
	if end := t.AddDate(ruleHorizon, 0, 0); option.Until.IsZero() || option.Until.After(end) {
		option.Until = end
	}
	option.Dtstart, option.Until = begin.AddDate(era, 0, 0), option.Until.AddDate(era, 0, 0)
	return option
}

// period is the beginning of the last period, of those that are counted from begin, that
// begins at t or before it.
func (r *rule) period(begin, t time.Time) time.Time {
	n := r.option.Interval
	whole := func(passed int) int { return max(0, passed) / n * n }
	switch r.option.Freq {
	case rrule.YEARLY:
		return time.Date(begin.Year()+whole(t.Year()-begin.Year()), 1, 1, 0, 0, 0, 0, time.UTC)
	case rrule.MONTHLY:
		passed := (t.Year()-begin.Year())*12 + int(t.Month()) - int(begin.Month())
		return time.Date(begin.Year(), begin.Month()+time.Month(whole(passed)), 1, 0, 0, 0, 0, time.UTC)
	case rrule.WEEKLY:
		day := begin.Truncate(24 * time.Hour)
		for (int(day.Weekday())+6)%7 != r.option.Wkst.Day() {
			day = day.AddDate(0, 0, -1)
		}
		return day.AddDate(0, 0, 7*whole(int(t.Sub(day)/(7*24*time.Hour))))
	default:
		day := begin.Truncate(24 * time.Hour)
		return day.AddDate(0, 0, whole(int(t.Sub(day)/(24*time.Hour))))
	}
}

// Next is the first time after t at which the rule holds.
func (r *rule) Next(t time.Time) time.Time {
	if n := len(r.seen); r.more == nil || t.Before(r.since) || n > 0 && t.Sub(r.seen[n-1]) > followMax {
		followed, err := rrule.NewRRule(r.from(t))
		if err != nil {
			return time.Time{} // can't be: it was tried when it was read
		}
		r.since, r.seen, r.more = t, nil, followed.Iterator()
	}
	i := sort.Search(len(r.seen), func(i int) bool { return r.seen[i].After(t) })
	for i == len(r.seen) {
		next, ok := r.more()
		if !ok {
			return time.Time{}
		}
		if next = next.AddDate(-era, 0, 0); next.After(r.since) {
			r.seen = append(r.seen, next)
		}
		if !next.After(t) {
			i = len(r.seen)
		}
	}
	return r.seen[i]
}
