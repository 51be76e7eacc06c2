package calendar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
	"github.com/teambition/rrule-go"
)

// Starts are the times on the wall clock at which a window opens, as times in UTC.
type Starts interface {
	// Next is the first time after t; zero when there is none.
	Next(t time.Time) time.Time
}

// startMax is the longest text of starts, in bytes.
const startMax = 500

// ParseStart reads when a window opens: a cron expression of five fields, or a recurrence
// rule of RFC 5545 that begins with RRULE: or DTSTART:.
func ParseStart(text string) (Starts, error) {
	if len(text) > startMax {
		return nil, fmt.Errorf("it has %d bytes; want at most %d", len(text), startMax)
	}
	read := parseCron
	if upper := strings.ToUpper(strings.TrimSpace(text)); strings.HasPrefix(upper, "RRULE") || strings.HasPrefix(upper, "DTSTART") {
		read = parseRule
	}
	starts, err := read(text)
	if err != nil {
		return nil, err
	}
	if starts.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("this day never comes; want a start that comes some time")
	}
	return starts, nil
}

// cronField is one field of a cron expression.
type cronField struct {
	noun  string
	names []string // of the values from first on; nil where there are only numbers
	first int
}

// cronFields are the five fields in their order.
func cronFields() [5]cronField {
	return [5]cronField{
		{noun: "minute"},
		{noun: "hour"},
		{noun: "day"},
		{noun: "month", first: 1, names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
		{noun: "weekday", names: weekdayNames()},
	}
}

func weekdayNames() []string { return []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"} }

func parseCron(text string) (Starts, error) {
	problem := errors.New("want a cron expression of five fields (minute, hour, day, month, weekday), such as \"0 22 * * 1-5\", or a rule such as \"RRULE:FREQ=MONTHLY;BYDAY=2TU;BYHOUR=22\"")
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return nil, problem
	}
	for i, f := range cronFields() {
		read, err := f.read(fields[i])
		if err != nil {
			return nil, err
		}
		fields[i] = read
	}
	// Of cron, either is enough; of most people who write both, both must hold.
	if day, weekday := fields[2], fields[4]; !free(day) && !free(weekday) {
		return nil, errors.New("a day of the month beside a weekday: cron opens on either of them. Leave one of them *; the first Monday is \"0 22 * * 1#1\", and RRULE has the rest")
	}
	expr, err := cronexpr.Parse(strings.Join(fields, " "))
	if err != nil {
		return nil, problem
	}
	return expr, nil
}

// free reports whether a field takes every day.
func free(field string) bool { return field == "*" || field == "?" }

// read writes a field's ranges so that every reader of cron takes them alike: ranges of
// weekdays are lists, in which Sunday is 0. A range that runs over the end is refused.
func (f cronField) read(text string) (string, error) {
	parts := strings.Split(text, ",")
	for i, part := range parts {
		span, step, stepped := strings.Cut(part, "/")
		from, to, ranged := strings.Cut(span, "-")
		if !ranged {
			continue
		}
		a, okFrom := f.number(from)
		b, okTo := f.number(to)
		if !okFrom || !okTo {
			continue // the parser of cron says what is wrong
		}
		if f.noun == "weekday" {
			a %= 7
			if b == 0 && a > 0 || b == 7 { // Sunday ends the week too
				b = 7
			}
			if from == "7" && b == 7 {
				a = 7
			}
		}
		if a > b {
			return "", fmt.Errorf("the %ss %s-%s run over the end: cron has no such range. Write two, such as %s", f.noun, from, to, f.split(a, b))
		}
		if f.noun != "weekday" {
			continue
		}
		every := 1
		if stepped {
			n, err := strconv.Atoi(step)
			if err != nil || n < 1 {
				continue
			}
			every = n
		}
		var days []string
		for day := a; day <= b && day < a+7; day += every {
			days = append(days, strconv.Itoa(day%7))
		}
		parts[i] = strings.Join(days, ",")
	}
	return strings.Join(parts, ","), nil
}

// split writes a range over the end as two.
func (f cronField) split(a, b int) string {
	last := map[string]int{"minute": 59, "hour": 23, "day": 31, "month": 12, "weekday": 6}[f.noun]
	return fmt.Sprintf("%d-%d,%d-%d", a, last, f.first, b)
}

// number is the value of one end of a range.
func (f cronField) number(text string) (int, bool) {
	if i := slices.Index(f.names, strings.ToUpper(text)); i >= 0 {
		return i + f.first, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0
}

// ruleHorizon is how far a rule is followed. The rarest day, the 29th of February on
// a certain weekday, comes within forty years.
const ruleHorizon = 41

// rule is a recurrence rule.
type rule struct {
	option rrule.ROption
	own    bool // it says itself where it begins
}

var _ Starts = rule{}

func parseRule(text string) (Starts, error) {
	option, err := rrule.StrToROption(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("want a rule such as \"RRULE:FREQ=MONTHLY;BYDAY=2TU;BYHOUR=22\": %w", err)
	}
	r := rule{option: *option, own: !option.Dtstart.IsZero()}
	switch {
	case option.Freq > rrule.DAILY:
		return nil, errors.New("want FREQ=YEARLY, MONTHLY, WEEKLY or DAILY; hours of a day are BYHOUR=1,13")
	case len(option.Bysecond) > 0:
		return nil, errors.New("a window begins at a full minute: leave BYSECOND out")
	case !r.own && (option.Interval > 1 || option.Count > 0):
		return nil, errors.New("INTERVAL and COUNT need to know what to count from: begin with a line such as DTSTART:20260106T220000")
	case !r.own && len(option.Byhour) == 0:
		return nil, errors.New("want the hour: BYHOUR=22, or a line such as DTSTART:20260106T220000")
	}
	if !r.own && len(option.Byminute) == 0 {
		r.option.Byminute = []int{0}
	}
	r.option.Bysecond = []int{0}
	r.option.Dtstart = asUTC(option.Dtstart)
	if _, err := rrule.NewRRule(r.from(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))); err != nil {
		return nil, fmt.Errorf("this rule can't be followed: %w", err)
	}
	return r, nil
}

// from is the rule as far as it matters after t. What does not say where it begins begins
// with the year before, so that it need not be followed from the beginning of time.
func (r rule) from(t time.Time) rrule.ROption {
	option := r.option
	if !r.own {
		option.Dtstart = time.Date(t.Year()-1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if end := t.AddDate(ruleHorizon, 0, 0); option.Until.IsZero() || option.Until.After(end) {
		option.Until = end
	}
	return option
}

// Next is the first time after t at which the rule holds.
func (r rule) Next(t time.Time) time.Time {
	followed, err := rrule.NewRRule(r.from(t))
	if err != nil {
		return time.Time{} // can't be: it was tried when it was read
	}
	return followed.After(t, false)
}
