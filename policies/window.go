package policies

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/policies/lang"
)

func windowArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "start", Doc: "when it opens: cron, or RRULE:…", Want: cty.String, Required: true, Check: func(v cty.Value) error {
			_, err := calendar.ParseStart(v.AsString())
			return err
		}},
		{Name: "except", Doc: "days on which it does not open", Since: 8, Want: cty.List(cty.String), Check: checkDays},
		{Name: "length", Doc: "how long it stays open", Want: cty.String, Required: true, Check: lang.DurationBetween(time.Minute, maxMonth)},
		{Name: "timezone", Doc: "the zone of its clock", Default: cty.StringVal("UTC"), Want: cty.String, Check: checkTimezone},
		{Name: "cutoff", Doc: "what a rollout under way does when it closes", Default: cty.StringVal("finish"), Want: cty.String, Check: lang.OneOf("finish", "hold")},
	}
}

func windowOf(v *lang.Values) api.Window {
	return api.Window{
		Name: v.Label(), Start: v.Text("start", ""), Except: v.Texts("except"), Length: api.Duration(v.Duration("length")),
		Timezone: v.Text("timezone", ""), Cutoff: v.Text("cutoff", ""),
	}
}

// daysMax is how many days a window may leave out: ten years of holidays.
const daysMax = 200

func checkDays(v cty.Value) error {
	days := lang.TextsOf(v)
	if len(days) > daysMax {
		return fmt.Errorf("want at most %d days, have %d; a freeze leaves out many days at once", daysMax, len(days))
	}
	for i, day := range days {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return fmt.Errorf("element %d is %q; want a day such as \"2026-12-24\"", i+1, day)
		}
	}
	return nil
}

func freezeArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "from", Doc: "its first moment", Want: cty.String, Required: true, Check: CheckMoment},
		{Name: "to", Doc: "the first moment after it", Want: cty.String, Required: true, Check: CheckMoment},
		{Name: "timezone", Doc: "the zone of moments that name none", Default: cty.StringVal("UTC"), Want: cty.String, Check: checkTimezone},
		{Name: "reason", Doc: "what people are told", Want: cty.String, Required: true, Check: lang.NotEmpty},
	}
}

func freezeOf(v *lang.Values) api.Freeze {
	zone := v.Text("timezone", "")
	freeze := api.Freeze{Name: v.Label(), Reason: strings.Join(strings.Fields(v.Text("reason", "")), " ")}
	from, fromErr := calendar.ParseMoment(v.Text("from", ""), zone)
	to, toErr := calendar.ParseMoment(v.Text("to", ""), zone)
	if v.Err() == nil && fromErr == nil && toErr == nil && !from.Before(to) {
		v.Keep(fmt.Errorf("the freeze ends (%s) before it begins (%s); to is the first moment after it",
			to.Format(time.RFC3339), from.Format(time.RFC3339)))
	}
	freeze.From, freeze.To = from, to
	return freeze
}

func checkTimezone(v cty.Value) error {
	name := v.AsString()
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return errors.New("there is no such time zone; want a name such as \"Europe/Berlin\" or \"UTC\"")
	}
	return nil
}

// CheckMoment is a checker for moments, as calendar.ParseMoment reads them.
func CheckMoment(v cty.Value) error {
	_, err := calendar.ParseMoment(v.AsString(), "UTC")
	return err
}
