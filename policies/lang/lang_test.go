package lang_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/shoenig/test/must"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// scope is a scope of two variables, one of them with a closed set.
func scope() *lang.Scope {
	sc := lang.NewScope(map[string]cty.Type{
		"cat": cty.Object(map[string]cty.Type{"name": cty.String, "lives": cty.Number, "mood": cty.String, "moods": cty.List(cty.String), "friends": cty.List(cty.String)}),
	}, nil)
	moods := lang.Enum{Noun: "mood", Owner: "A cat's mood", Values: []string{"calm", "cross"}}
	sc.Enums = map[string]lang.Enum{"cat.mood": moods, "cat.moods": moods}
	sc.Later = map[string]string{"cat.next": "cat.next is what this file decides."}
	return sc
}

// facts are one cat.
func facts(lives int64) *hcl.EvalContext {
	return &hcl.EvalContext{Functions: lang.Functions(), Variables: map[string]cty.Value{
		"cat": cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal("tom"), "lives": cty.NumberIntVal(lives), "mood": cty.StringVal("calm"),
			"moods": lang.StringList([]string{"calm"}), "friends": lang.StringList([]string{"tim"}),
		}),
	}}
}

// read reads the first block of a file with three arguments.
func read(text string) (*lang.Source, *lang.Block) {
	s := lang.Read(api.SourceFile{Name: "cat.hcl", Text: text})
	if s.Body == nil {
		return s, nil
	}
	return s, s.ReadBlock(s.Body.Blocks[0], []lang.Argument{
		{Name: "when", Want: cty.Bool},
		{Name: "lives", Want: cty.Number, Check: lang.WholeBetween(1, 9)},
		{Name: "nap", Want: cty.String, Check: lang.DurationBetween(0, 24*time.Hour), Scope: lang.NewScope(nil, nil)},
	}, scope())
}

func TestReadBlock_ReportsEveryMistakeWithItsPlace(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"unknown argument":   {`cat { live = 3 }`, `cat.hcl:1,7: Unknown argument; cat has no argument "live". Did you mean "lives"?`},
		"wrong type":         {`cat { when = "soon" }`, `cat.hcl:1,14: Wrong value; when must be a bool`},
		"out of range":       {`cat { lives = 10 }`, `cat.hcl:1,15: Wrong value; lives = 10: want a whole number from 1 to 9`},
		"unknown root":       {`cat { when = dog.lives > 1 }`, `Unknown name; There is no "dog" here.`},
		"unknown attribute":  {`cat { when = cat.nam == "tom" }`, `Unknown attribute; cat has no attribute "nam". Did you mean "name"?`},
		"attribute of later": {`cat { when = cat.next }`, `Not known yet; cat.next is what this file decides.`},
		"unknown function":   {`cat { when = startwith(cat.name, "t") }`, `There is no function "startwith". Did you mean "startswith"?`},
		"never equal":        {`cat { when = cat.lives == "9" }`, `Comparison of different types`},
		"list and text":      {`cat { when = cat.friends == "tim" }`, `The left side is a list of string and the right side a string; they are never equal. Ask contains(list, value)`},
		"list and tuple":     {`cat { when = cat.friends == ["tim"] }`, `Comparison of different types`},
		"list and nothing":   {`cat { when = [] != cat.friends }`, `length(list)`},
		"search in a text":   {`cat { when = contains(cat.name, "t") }`, `cat.hcl:1,23: Search in no list; contains searches a list, and this is a string. A text in a text is found by glob`},
		"search for another": {`cat { when = contains(cat.friends, 5) }`, `cat.hcl:1,36: Search for another type; No element of the list is a number.`},
		"closed list":        {`cat { when = contains(["calm", "crss"], cat.mood) }`, `cat.hcl:1,32: Unknown mood; There is no mood "crss". Did you mean "cross"?`},
		"list of closed set": {`cat { when = contains(cat.moods, "crss") }`, `cat.hcl:1,34: Unknown mood`},
		"closed set":         {`cat { when = cat.mood == "crss" }`, `Unknown mood; There is no mood "crss". Did you mean "cross"? A cat's mood is one of "calm" or "cross".`},
		"nested loops":       {`cat { when = contains([for a in [1] : [for b in [a] : b]], 1) }`, `Nested for`},
		"texts by size":      {`cat { when = cat.name < "9.10" }`, `cat.hcl:1,14: Texts compared by size; Texts have no order here. Versions are compared by the order of their ecosystem, as in version_below("deb", cat.name, "9.10")`},
		"in a loop":          {`cat { when = length([for n in [cat.name] : n if n >= "2"]) > 0 }`, `cat.hcl:1,49: Texts compared by size`},
		"no ecosystem":       {`cat { when = version_below("dep", cat.name, "1") }`, `cat.hcl:1,28: Unknown ecosystem; There is no ecosystem "dep". Did you mean "deb"?`},
		"no version":         {`cat { when = version_at_least("go", cat.name, "one") }`, `cat.hcl:1,47: Invalid version; This can't be compared: "one" is no version of go.`},
		"only a constant":    {`cat { nap = cat.name }`, `There is no "cat" here: this argument takes a constant.`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, _ := read(c.text)
			err := lang.Error(s.Diags, []api.SourceFile{{Name: "cat.hcl", Text: c.text}})
			must.NotNil(t, err)
			must.StrContains(t, strings.Join(err.Details, "\n"), c.want)
			must.StrHasSuffix(t, " | "+c.text, err.Details[0], must.Sprint("the line that it is about"))
		})
	}
}

func TestEvalBool_AnswersWhatTheChecksLetPass(t *testing.T) {
	cases := map[string]bool{
		`version_below("deb", "3.0.15-1~deb12u1", "3.0.15-1")`: true,
		`version_below("deb", "3.0.9", "3.0.16")`:              true,
		`version_below("deb", "1:1.0", "2.0")`:                 false,
		`version_at_least("rpm", "1.0^git1", "1.0")`:           true,
		`version_at_least("apk", "1.2.3_rc1", "1.2.3")`:        false,
		`version_equal("pypi", "1.0", "1.0.0")`:                true,
		`version_equal("npm", "1.0.0-rc.1", "1.0.0")`:          false,
		`cat.lives < "10"`:                                     true, // a number, as HCL reads it
		`contains(cat.friends, "tim")`:                         true,
		`contains(["calm", "cross"], cat.mood)`:                true,
		`contains([1, "tom"], cat.name)`:                       true, // of several types
		`cat.friends == null`:                                  false,
		`cat.friends == cat.moods`:                             false,
	}
	for text, want := range cases {
		s, block := read("cat { when = " + text + " }")
		must.False(t, s.Diags.HasErrors(), must.Sprint(text, s.Diags))
		got, _, err := block.Fields["when"].EvalBool(facts(9))
		must.NoError(t, err)
		must.EqOp(t, want, got, must.Sprint(text))
	}
	_, block := read(`cat { when = version_below("deb", cat.name, "") }`)
	_, _, err := block.Fields["when"].EvalBool(facts(9))
	must.ErrorContains(t, err, `"" is no version of deb`)
}

// many is a list of so many numbers.
func many(n int) string { return "[" + strings.Repeat("1,", n) + "]" }

// loops are for expressions inside of each other, with ten elements each.
func loops(depth int) string {
	return strings.Repeat("[for a in "+many(10)+" : ", depth) + "1" + strings.Repeat("]", depth)
}

func TestRead_LimitsSizeDepthAndNumbers(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"size":      {strings.Repeat("# a comment\n", 1<<15), "File too large"},
		"depth":     {"cat { when = " + strings.Repeat("(", 65) + "true" + strings.Repeat(")", 65) + " }", "Nested too deeply"},
		"operators": {"cat { lives = 1" + strings.Repeat(" + 1", 4097) + " }", "Too many operators"},
		"number":    {"cat { lives = 1e999999999 }", "Number out of range"},
		// To evaluate these would take years, or more memory than there is.
		"loops in a comparison": {"cat { when = " + loops(30) + " == 1 }", "Nested for"},
		"loops in a collection": {"cat { when = length([for a in " + loops(30) + " : a]) > 1 }", "Nested for"},
		"loops in an order":     {"cat { when = " + loops(30) + " < 1 }", "Nested for"},
		"lists for lists":       {"cat { when = length([for a in " + many(50_000) + " : " + many(50_000) + "]) > 1 }", "Too many steps"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, block := read(c.text)
			must.Nil(t, block)
			must.Eq(t, c.want, s.Diags[0].Summary)
		})
	}
}

func TestField_SaysWhyAConditionHolds(t *testing.T) {
	cases := map[string]struct {
		text  string
		lives int64
		holds bool
		why   string
	}{
		"comparison":            {`cat.lives >= 2`, 4, true, "cat.lives = 4 >= 2"},
		"comparison that fails": {`cat.lives >= 2`, 1, false, "cat.lives = 1, not >= 2"},
		"either":                {`cat.name == "jerry" || cat.lives > 1`, 2, true, "cat.lives = 2 > 1"},
		"both":                  {`cat.name == "tom" && cat.lives > 1`, 1, false, "cat.lives = 1, not > 1"},
		"function":              {`startswith(cat.name, "t")`, 1, true, `startswith(cat.name, "t") = true`},
		"constant":              {`1 < 2`, 1, true, "when = true"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, block := read("cat { when = " + c.text + " }")
			must.SliceEmpty(t, s.Diags)
			holds, why, err := block.Fields["when"].EvalBool(facts(c.lives))
			must.NoError(t, err)
			must.Eq(t, c.holds, holds)
			must.Eq(t, c.why, why)
		})
	}
}

func TestValues_KeepTheFirstErrorWithItsPlace(t *testing.T) {
	s, block := read("cat {\n  lives = cat.lives\n  nap   = \"1h\"\n}")
	must.SliceEmpty(t, s.Diags)
	v := block.Values(facts(9))
	must.Eq(t, 9, v.Whole("lives", 0))
	must.Eq(t, "1h0m0s", v.Duration("nap").String())
	must.False(t, v.Flag("when"))
	must.NoError(t, v.Err())

	v = block.Values(facts(12))
	must.Eq(t, 3, v.Whole("lives", 3), must.Sprint("an argument after an error is absent"))
	must.Zero(t, v.Duration("nap"))
	must.ErrorContains(t, v.Err(), "cat.hcl:2,11: lives = 12: want a whole number from 1 to 9")
}

func TestReadPart_BuildsWhatNeedsNoFactsAtOnce(t *testing.T) {
	build := func(v *lang.Values) int { return v.Whole("lives", 7) }
	args := []lang.Argument{{Name: "lives", Want: cty.Number}}
	for text, known := range map[string]bool{"cat { lives = 3 }": true, "cat {}": true, "cat { lives = cat.lives }": false} {
		s := lang.Read(api.SourceFile{Name: "cat.hcl", Text: text})
		p := lang.ReadPart(s, s.Body.Blocks[0], args, scope(), build)
		must.SliceEmpty(t, s.Diags)
		early, ok := p.Known()
		must.Eq(t, known, ok, must.Sprint(text))
		late, err := p.Get(facts(5))
		must.NoError(t, err)
		if ok {
			must.Eq(t, early, late)
		} else {
			must.Eq(t, 5, late)
		}
	}
}
