package calendar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"github.com/teambition/rrule-go"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
)

// walls lists the first starts after a time.
func walls(t *testing.T, text, after string, n int) []string {
	t.Helper()
	starts, err := calendar.ParseStart(text)
	must.NoError(t, err, must.Sprint(text))
	var out []string
	for next := at(t, after); len(out) < n; {
		if next = starts.Next(next); next.IsZero() {
			break
		}
		out = append(out, next.Format("2006-01-02T15:04"))
	}
	return out
}

// gorhill/cronexpr#27, hashicorp/cronexpr#2: ranges that end with 7 lose the Sunday.
// 2026-06-06 is a Saturday.
func TestParseStart_TakesSundayForBothEndsOfTheWeek(t *testing.T) {
	t.Parallel()
	all := []string{"2026-06-06T02:00", "2026-06-07T02:00", "2026-06-08T02:00", "2026-06-09T02:00", "2026-06-10T02:00", "2026-06-11T02:00", "2026-06-12T02:00"}
	for weekday, want := range map[string][]string{
		"6-7": {"2026-06-06T02:00", "2026-06-07T02:00", "2026-06-13T02:00"}, "SAT-SUN": {"2026-06-06T02:00", "2026-06-07T02:00", "2026-06-13T02:00"},
		"6-0": {"2026-06-06T02:00", "2026-06-07T02:00"}, "sat,sun": {"2026-06-06T02:00", "2026-06-07T02:00"}, "6,7": {"2026-06-06T02:00", "2026-06-07T02:00"},
		"1-7": all, "0-7": all, "MON-SUN": all, "0-6": all, "SUN-SAT": all, "*": all,
		"5-7": {"2026-06-06T02:00", "2026-06-07T02:00", "2026-06-12T02:00"}, "7-2": {"2026-06-07T02:00", "2026-06-08T02:00", "2026-06-09T02:00", "2026-06-14T02:00"},
		"7-7": {"2026-06-07T02:00", "2026-06-14T02:00"}, "7": {"2026-06-07T02:00", "2026-06-14T02:00"},
		"1-7/2":           {"2026-06-07T02:00", "2026-06-08T02:00", "2026-06-10T02:00", "2026-06-12T02:00"},
		"saturday-sunday": {"2026-06-06T02:00", "2026-06-07T02:00", "2026-06-13T02:00"},
		"1#1":             {"2026-07-06T02:00"}, "5L": {"2026-06-26T02:00"},
	} {
		must.Eq(t, want, walls(t, "0 2 * * "+weekday, "2026-06-06T00:00:00Z", len(want)), must.Sprint(weekday))
	}
}

// kubereboot/kured#204: a range over the end never comes, and nobody is told.
func TestParseStart_RefusesWhatNeverComesOrIsTwoThings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0 22-2 * * *":           "the hours 22-2 run over the end: cron has no such range. Write two, such as 22-23,0-2",
		"0 8,22-2 * * *":         "the hours 22-2 run over the end",
		"50-10 * * * *":          "50-59,0-10",
		"0 2 28-3 * *":           "28-31,1-3",
		"0 2 * 11-2 *":           "11-12,1-2",
		"0 2 * NOV-FEB *":        "the months NOV-FEB run over the end",
		"0 22 * * 5-1,3":         "5-6,0-1",
		"0 22 * * FRI-MON":       "the weekdays FRI-MON run over the end",
		"0 2 13 * 5":             "a day of the month beside a weekday",
		"0 2 1-7 * MON":          "1#1",
		"0 2 30 2 *":             "this day never comes",
		"0 2 * *":                "five fields",
		"0 25 * * *":             "five fields",
		"a-b * * * *":            "five fields",
		strings.Repeat("0", 600): "want at most 500",
		"RRULE:FREQ=HOURLY":      "BYHOUR=1,13",
		"RRULE:FREQ=DAILY":       "want the hour",
		"RRULE:FREQ=NEVER":       "want a rule such as",
		"RRULE:":                 "want a rule such as",
		"RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;BYHOUR=22":                     "DTSTART",
		"RRULE:FREQ=DAILY;BYHOUR=1;BYSECOND=5":                                "full minute",
		"RRULE:FREQ=DAILY;BYHOUR=1;BYMONTH=2;BYMONTHDAY=30":                   "this day never comes",
		"RRULE:FREQ=DAILY;BYHOUR=1;UNTIL=20200101T000000":                     "this day never comes",
		"RRULE:FREQ=DAILY;BYHOUR=24":                                          "can't be followed",
		"0 2 * * 1-8":                                                         "five fields",
		"0 2 * * 9-10":                                                        "five fields",
		"0 2 * november-february *":                                           "11-12,1-2",
		"RRULE:FREQ=WEEKLY;BYHOUR=22":                                         "want the day",
		"RRULE:FREQ=MONTHLY;BYHOUR=22":                                        "want the day",
		"RRULE:FREQ=WEEKLY;BYDAY=2TU;BYHOUR=22":                               "want FREQ=MONTHLY or YEARLY",
		"RRULE:FREQ=MONTHLY;BYDAY=1MO,8MO;BYHOUR=22":                          "no month has as many",
		"RRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=-9MO;BYHOUR=22":                    "no month has as many",
		"RRULE:FREQ=YEARLY;BYEASTER=277;BYHOUR=22":                            "BYEASTER",
		"RRULE:FREQ=DAILY;BYHOUR=22;BYHOUR=1":                                 "BYHOUR stands twice",
		"RRULE:FREQ=DAILY;BYHOUR=1;BYSETPOS=2":                                "want FREQ=WEEKLY",
		"RRULE:FREQ=DAILY;BYHOUR=1,2;UNTIL=20300101T000000Z":                  "leave the Z out",
		"DTSTART:20260106T220000Z\nRRULE:FREQ=DAILY":                          "leave the Z out",
		"DTSTART;TZID=Asia/Tokyo:20260106T220000\nRRULE:FREQ=DAILY":           "leave TZID out",
		"DTSTART:00010106T220000\nRRULE:FREQ=DAILY":                           "from the year 2000",
		"DTSTART:20260106T220000\nRRULE:FREQ=YEARLY;INTERVAL=92233720":        "INTERVAL from 1 to 1000",
		"DTSTART:20260106T220000\nRRULE:FREQ=DAILY;COUNT=92233720":            "COUNT from 1 to 1000",
		"RRULE:FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7,8,9;BYMINUTE=0,10,20,30,40,50": "54 times a day",
	} {
		_, err := calendar.ParseStart(text)
		must.ErrorContains(t, err, want, must.Sprint(text))
	}
}

func TestParseStart_FollowsRules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"RRULE:FREQ=MONTHLY;BYDAY=2TU;BYHOUR=22":                           {"2026-06-09T22:00", "2026-07-14T22:00", "2026-08-11T22:00"}, // patch Tuesday
		"RRULE:FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=20,22;BYMINUTE=30":           {"2026-06-26T20:30", "2026-06-26T22:30", "2026-07-31T20:30"},
		"DTSTART:20260106T220000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TU":   {"2026-06-09T22:00", "2026-06-23T22:00"},
		"RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3":               {"2028-02-29T03:00", "2032-02-29T03:00"},
		"DTSTART:20000131T220000\nRRULE:FREQ=MONTHLY;INTERVAL=3":           {"2026-07-31T22:00", "2026-10-31T22:00"},
		"DTSTART:20250309T220000\nRRULE:FREQ=YEARLY;BYHOUR=23":             {"2027-03-09T23:00", "2028-03-09T23:00"},
		"DTSTART:20250309T220000\nRRULE:FREQ=WEEKLY;UNTIL=20260614T220000": {"2026-06-07T22:00", "2026-06-14T22:00"},
		"DTSTART:20260601T010000\nRRULE:FREQ=DAILY;COUNT=7":                {"2026-06-06T01:00", "2026-06-07T01:00"},
	} {
		must.Eq(t, want, walls(t, text, "2026-06-06T00:00:00Z", len(want)), must.Sprint(text))
	}
}

func TestOpens_LeavesOutExceptedDays(t *testing.T) {
	t.Parallel()
	w := window(t, "a/nights", "0 22 * * *", "4h", "America/Santiago")
	w.Except = []string{"2026-12-24", "2026-12-25"}
	opens, _ := calendar.Opens(api.Decision{Windows: []api.Window{w}}, at(t, "2026-12-24T20:00:00Z"))
	must.Eq(t, at(t, "2026-12-27T01:00:00Z"), opens) // the 26th, 22:00 -03
	// The night that began the day before goes on.
	opens, _ = calendar.Opens(api.Decision{Windows: []api.Window{w}}, at(t, "2026-12-24T03:00:00Z"))
	must.Eq(t, at(t, "2026-12-24T03:00:00Z"), opens)
}

// nats-io/nats-server#8543: a time that the clock skips, west of Greenwich, became one that
// is earlier.
func TestOpens_NeverBeforeTheTimeThatIsWritten(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, cron, now, want string }{
		{"America/New_York", "30 2 * * *", "2026-03-08T06:00:00Z", "2026-03-08T07:30:00Z"},
		{"America/New_York", "30 2 * * *", "2026-03-08T06:45:00Z", "2026-03-08T07:30:00Z"},
		{"America/Santiago", "0 0 * * *", "2026-09-06T02:00:00Z", "2026-09-06T04:00:00Z"},
		{"Africa/Cairo", "0 0 * * *", "2026-04-23T21:00:00Z", "2026-04-23T22:00:00Z"},
		{"Europe/Berlin", "30 2 * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z"},
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T15:00:00Z", "2026-10-03T15:45:00Z"},  // half an hour
		{"America/New_York", "0,30 2,3 * * *", "2026-03-08T06:50:00Z", "2026-03-08T07:00:00Z"}, // 03:00 comes before what 02:30 became
	} {
		opens, _ := calendar.Opens(api.Decision{Windows: []api.Window{window(t, "a/w", tt.cron, "1m", tt.zone)}}, at(t, tt.now))
		must.Eq(t, at(t, tt.want), opens.UTC(), must.Sprint(tt.zone, " ", tt.cron))
	}
}

// TestOpens_IsTheFirstMinuteWhoseClockShowsAStart holds the starts of a day to a search of
// every minute: a start is the first moment at which the clock in the zone shows its time,
// and one that no clock shows is as much later than the change as it is into what is skipped.
func TestOpens_IsTheFirstMinuteWhoseClockShowsAStart(t *testing.T) {
	t.Parallel()
	zones := []string{"America/New_York", "America/Santiago", "Africa/Cairo", "Europe/London", "Australia/Lord_Howe", "America/St_Johns", "Asia/Tehran", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		location, err := time.LoadLocation(zone)
		must.NoError(t, err)
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 365*24*4).Draw(t, "quarter")) * 15 * time.Minute)
		if change := changes(location); len(change) > 0 && rapid.Bool().Draw(t, "near a change") {
			now = rapid.SampledFrom(change).Draw(t, "change").Add(time.Duration(rapid.IntRange(-240, 240).Draw(t, "minutes")) * time.Minute)
		}
		want := search(now, location, hour, minute)
		got, _ := calendar.Opens(api.Decision{Windows: []api.Window{window(t, "a/w", fmt.Sprintf("%d %d * * *", minute, hour), "1m", zone)}}, now)
		must.Eq(t, want, got.UTC(), must.Sprint(zone, " ", hour, ":", minute, " after ", now))
	})
}

// changes are the moments of 2026 at which clocks change.
func changes(location *time.Location) []time.Time {
	var out []time.Time
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for h := start; h.Year() == 2026; h = h.Add(30 * time.Minute) {
		_, before := h.In(location).Zone()
		_, after := h.Add(30 * time.Minute).In(location).Zone()
		if before != after {
			out = append(out, h.Add(30*time.Minute))
		}
	}
	return out
}

// search goes through the minutes from now on.
func search(now time.Time, location *time.Location, hour, minute int) time.Time {
	var starts []time.Time
	first := now.Add(-3 * time.Hour).Truncate(time.Minute)
	shown := map[string]bool{}
	for m := first.Add(-24 * time.Hour); m.Sub(first) < 72*time.Hour; m = m.Add(time.Minute) {
		local := m.In(location)
		stamp := local.Format("2006-01-02 15:04")
		if local.Hour() == hour && local.Minute() == minute && !shown[stamp] {
			starts = append(starts, m)
		}
		shown[stamp] = true
		// What the clock skips between this minute and the next.
		_, before := local.Zone()
		_, after := m.Add(time.Minute).In(location).Zone()
		for skipped := 1; skipped <= (after-before)/60; skipped++ {
			wall := m.Add(time.Duration(skipped) * time.Minute).In(time.FixedZone("", before))
			if wall.Hour() == hour && wall.Minute() == minute {
				starts = append(starts, m.Add(time.Duration(skipped)*time.Minute))
			}
		}
	}
	slices.SortFunc(starts, func(a, b time.Time) int { return a.Compare(b) })
	for _, s := range starts {
		if s.Add(time.Minute).After(now) {
			if s.Before(now) {
				return now.UTC() // the minute of the window has begun
			}
			return s.UTC()
		}
	}
	return time.Time{}
}

// TestParseStart_FollowsARuleFromItsBeginning holds what is found from the middle of a rule
// to the library, which goes through it from its beginning.
func TestParseStart_FollowsARuleFromItsBeginning(t *testing.T) {
	t.Parallel()
	begin := at(t, "2026-01-01T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		text := "DTSTART:" + rapid.SampledFrom([]string{"20000101T000000", "20240229T233000", "20251231T120000", "20260805T013000"}).Draw(t, "begin") + "\nRRULE:FREQ=" +
			rapid.SampledFrom([]string{"DAILY", "WEEKLY", "WEEKLY;WKST=SU", "MONTHLY", "YEARLY"}).Draw(t, "freq")
		for _, part := range [][]string{
			{"", ";INTERVAL=2", ";INTERVAL=3", ";INTERVAL=13"}, {"", ";BYDAY=MO,SU", ";BYMONTHDAY=1,-1", ";BYMONTH=3,8;BYDAY=FR"},
			{"", ";BYHOUR=3,22;BYMINUTE=15"}, {"", ";COUNT=60", ";UNTIL=20270301T120000"},
		} {
			text += rapid.SampledFrom(part).Draw(t, "part")
		}
		whole, err := rrule.StrToRRule(text)
		must.NoError(t, err)
		starts, err := calendar.ParseStart(text)
		if err != nil {
			next := whole.After(begin, false)
			must.True(t, next.IsZero() || next.Year() > 2026+41, must.Sprint(text, err))
			return
		}
		now := begin.Add(time.Duration(rapid.IntRange(0, 800).Draw(t, "days")) * 24 * time.Hour)
		for range 5 {
			want := whole.After(now, false)
			if want.IsZero() || want.Year() > 2060 {
				return // beyond what is followed
			}
			must.Eq(t, want, starts.Next(now), must.Sprint(text, " after ", now))
			now = want
		}
	})
}

func TestOpens_AfterManyStartsOfExceptedDays(t *testing.T) {
	t.Parallel()
	w := window(t, "a/often", "* * * * *", "1m", "UTC")
	for day := range 14 {
		w.Except = append(w.Except, fmt.Sprintf("2026-12-%d", 18+day))
	}
	opens, why := calendar.Opens(api.Decision{Windows: []api.Window{w}}, at(t, "2026-12-18T00:00:00Z"))
	must.Eq(t, at(t, "2027-01-01T00:00:00Z"), opens, must.Sprint(why))
}

// FuzzParseStart holds what is taken to be followed for years without a fault.
func FuzzParseStart(f *testing.F) {
	for _, text := range []string{"0 22 * * 1-5", "RRULE:FREQ=MONTHLY;BYDAY=2TU,-1FR;BYSETPOS=1;BYHOUR=22", "DTSTART:20260106T220000\nRRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU;UNTIL=20270101",
		"RRULE:FREQ=YEARLY;BYWEEKNO=53,-1;BYDAY=MO;BYYEARDAY=-366;BYMONTHDAY=1;BYHOUR=1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		starts, err := calendar.ParseStart(text)
		if err != nil {
			return
		}
		now := at(t, "2026-11-30T00:00:00Z")
		for range 60 {
			next := starts.Next(now)
			if next.IsZero() {
				return
			}
			must.True(t, next.After(now))
			now = next
		}
	})
}
