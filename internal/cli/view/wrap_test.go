package view_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/internal/cli/view"
)

// TestTable_PrintWithinKeepsEveryLetter draws tables, and holds that no line is too long
// and that nothing of a cell is lost.
func TestTable_PrintWithinKeepsEveryLetter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringMatching(`[a-zä/:_]{0,40}( [a-zä/:_]{1,40}){0,4}`)
		table := view.NewTable("A", "B", "C")
		var row []string
		for range 3 {
			row = append(row, cell.Draw(t, "cell"))
		}
		table.Add(row...)
		width := rapid.IntRange(45, 120).Draw(t, "width")
		var out strings.Builder
		table.PrintWithin(&out, "  ", width)
		for line := range strings.Lines(out.String()) {
			must.LessEq(t, width, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
		}
		letters := func(text string) map[rune]int {
			count := map[rune]int{}
			for _, r := range text {
				if r != ' ' && r != '\n' {
					count[r]++
				}
			}
			return count
		}
		must.Eq(t, letters("ABC"+strings.Join(row, "")), letters(out.String()))
	})
}

func TestTable_PrintWithinBreaksBetweenWords(t *testing.T) {
	t.Parallel()
	table := view.NewTable("Target", "Because")
	table.Add("prod/a-long-job/group", "there is no inventory of it")
	var out strings.Builder
	table.PrintWithin(&out, "", 34)
	must.EqOp(t, `Target            Because
prod/a-long-job/  there is no
group             inventory of it
`, out.String())
}

func TestTable_PrintWithinKeepsAnIDWhole(t *testing.T) {
	t.Parallel()
	table := view.NewTable("Rollout", "Because")
	table.Add("01m8p7repedhzk931f9e9jh2es", "its proof of the fix failed")
	var out strings.Builder
	table.PrintWithin(&out, "", 44)
	must.EqOp(t, `Rollout                     Because
01m8p7repedhzk931f9e9jh2es  its proof of the
                            fix failed
`, out.String())
}

func TestTable_PrintWithinBreaksBehindAMark(t *testing.T) {
	t.Parallel()
	table := view.NewTable("Of", "Version", "Because")
	table.Add("sha256:554823b3#a6274e", "3.0.14-1~deb12u1", "it is there")
	var out strings.Builder
	table.PrintWithin(&out, "", 50)
	must.EqOp(t, `Of                      Version        Because
sha256:554823b3#a6274e  3.0.14-        it is there
                        1~deb12u1
`, out.String())
}
