package calendar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
)

// Starts are the times on the wall clock at which a window opens, as times in UTC. They
// keep what they have found, and are for one goroutine.
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
	names []string // of the values from first on, in full; three letters are enough; nil where there are only numbers
	first int
}

// cronFields are the five fields in their order.
func cronFields() [5]cronField {
	return [5]cronField{
		{noun: "minute"},
		{noun: "hour"},
		{noun: "day", first: 1},
		{noun: "month", first: 1, names: []string{"JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"}},
		{noun: "weekday", names: weekdayNames()},
	}
}

func weekdayNames() []string {
	return []string{"SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"}
}

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
			if a > 7 || b > 7 {
				continue // likewise
			}
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
	upper := strings.ToUpper(text)
	if i := slices.IndexFunc(f.names, func(name string) bool { return upper == name || upper == name[:3] }); i >= 0 {
		return i + f.first, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0
}
