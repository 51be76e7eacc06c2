package view

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oakumhq/oakum/internal/figure"
)

// lastLeast is how many characters are left of a column that is cut.
const lastLeast = 20

// Table collects rows and prints them in columns, two spaces apart.
type Table struct{ rows [][]string }

// NewTable returns a table with a head.
func NewTable(head ...string) *Table { return &Table{rows: [][]string{head}} }

// Add adds a row.
func (t *Table) Add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = Printable(cell)
	}
	t.rows = append(t.rows, row)
}

// LeaveOut leaves out the column of this head when no row says anything in it.
func (t *Table) LeaveOut(head string) {
	column := slices.Index(t.rows[0], head)
	if column < 0 || slices.ContainsFunc(t.rows[1:], func(row []string) bool { return row[column] != "" }) {
		return
	}
	for i, row := range t.rows {
		t.rows[i] = slices.Delete(row, column, column+1)
	}
}

// Printable quotes what would move the cursor, break the line or turn the text around
// on a terminal, as Go writes it: names in documents are others' texts.
func Printable(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(text[:size])
		} else {
			quoted := strconv.Quote(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// Within cuts the last column so that lines have at most so many characters, but not to
// less than lastLeast.
func (t *Table) Within(width int) {
	last := len(t.rows[0]) - 1
	for i := range last {
		widest := 0
		for _, row := range t.rows {
			widest = max(widest, utf8.RuneCountInString(row[i]))
		}
		width -= widest + 2
	}
	for _, row := range t.rows {
		row[last] = Cut(row[last], max(width, lastLeast))
	}
}

// Print writes the table, with each line indented by a text.
func (t *Table) Print(w io.Writer, by string) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(by+line.String(), " "))
	}
}

// Cut shortens a text to so many characters, the last of which says so.
func Cut(text string, width int) string {
	letters := []rune(text)
	if len(letters) <= width {
		return text
	}
	return strings.TrimRight(string(letters[:max(width-1, 0)]), " ") + "…"
}

// Fields prints name and value pairs, one to a line; empty values are left out. A value
// of many words goes on below, and no word is broken.
func Fields(w io.Writer, pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			lines := strings.Split(Wrap(Printable(pairs[i+1]), max(tableWidth-width-2, lastLeast)), "\n")
			fmt.Fprintf(w, "%-*s  %s\n", width, pairs[i], lines[0])
			for _, line := range lines[1:] {
				fmt.Fprintf(w, "%-*s  %s\n", width, "", line)
			}
		}
	}
}

// Stamp writes a time for a person.
func Stamp(t time.Time) string { return figure.Stamp(t) }

// Age is how long ago t was, with two units at most.
func Age(now, t time.Time) string { return figure.Age(now, t) }

// Span is a duration with two units at most; a negative one is zero.
func Span(d time.Duration) string { return figure.Span(d) }

// Amount writes a KPI's value in its unit.
func Amount(v float64, unit string) string { return figure.Amount(v, unit) }

// Count writes 1 target, 2 targets.
func Count(n int, noun string) string { return figure.Count(n, noun) }

// YesNo is a bool in words.
func YesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Short cuts a digest to what a person compares.
func Short(digest string) string { return digest[:min(len(digest), 12)] }

// Indent puts a text before every line that is not empty.
func Indent(text, by string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = by + line
		}
	}
	return strings.Join(lines, "\n")
}

// Wrap breaks text between words.
func Wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		letters := utf8.RuneCountInString(word)
		if column > 0 && column+1+letters > width {
			b.WriteString("\n")
			column = 0
		} else if column > 0 {
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += letters
	}
	return b.String()
}
