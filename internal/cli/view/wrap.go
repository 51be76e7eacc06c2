package view

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// columnLeast is how many characters a column keeps that is made narrower.
const columnLeast = 10

// PrintWithin writes the table, with each line indented by a text, in lines of at most so
// many characters: the widest columns are made narrower, and their cells go on below. Only
// a table of very many columns is wider. Nothing is cut.
func (t *Table) PrintWithin(w io.Writer, by string, width int) {
	widths := make([]int, len(t.rows[0]))
	total := utf8.RuneCountInString(by) + 2*(len(widths)-1)
	for i := range widths {
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for ; total > width; total-- {
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= columnLeast {
			break
		}
		widths[widest]--
	}
	for _, row := range t.rows {
		cells, lines := make([][]string, len(row)), 1
		for i, cell := range row {
			cells[i] = broken(cell, widths[i])
			lines = max(lines, len(cells[i]))
		}
		for n := range lines {
			var line strings.Builder
			for i := range cells {
				part := ""
				if n < len(cells[i]) {
					part = cells[i][n]
				}
				line.WriteString(part + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(part)+2))
			}
			fmt.Fprintln(w, strings.TrimRight(by+line.String(), " "))
		}
	}
}

// broken parts a text into lines of at most so many characters: between words where it
// can, else behind a mark such as a slash, else anywhere.
func broken(text string, width int) []string {
	var out []string
	letters := []rune(text)
	for len(letters) > width {
		at := width
		for at > 0 && letters[at] != ' ' {
			at--
		}
		if at == 0 {
			at = width
			for i := width; i > width/2; i-- {
				if strings.ContainsRune("/,:;@=_-", letters[i-1]) {
					at = i
					break
				}
			}
		}
		out = append(out, strings.TrimRight(string(letters[:at]), " "))
		letters = []rune(strings.TrimLeft(string(letters[at:]), " "))
	}
	return append(out, string(letters))
}
