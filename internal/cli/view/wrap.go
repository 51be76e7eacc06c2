package view

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// columnLeast is how many characters a column keeps that is made narrower.
const columnLeast = 10

// marks are the characters behind which a word may go on in the next line.
const marks = "/,;@=_-"

// PrintWithin writes the table, with each line indented by a text, in lines of at most so
// many characters: the widest columns are made narrower, and their cells go on below. A
// word is broken only where nothing else helps, so that an ID can be copied. Only a table
// of very many columns is wider. Nothing is cut.
func (t *Table) PrintWithin(w io.Writer, by string, width int) {
	widths, least := make([]int, len(t.rows[0])), make([]int, len(t.rows[0]))
	total := utf8.RuneCountInString(by) + 2*(len(widths)-1)
	for i := range widths {
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			least[i] = max(least[i], longest(row[i]))
		}
		total += widths[i]
	}
	total = narrow(widths, total, width, func(i int) int { return max(least[i], columnLeast) })
	narrow(widths, total, width, func(int) int { return columnLeast })
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

// narrow takes from the widest columns, which keep what least says, until the table is as
// wide as it may be. It returns how wide the table is.
func narrow(widths []int, total, width int, least func(column int) int) int {
	for ; total > width; total-- {
		widest := -1
		for i := range widths {
			if widths[i] > least(i) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return total
}

// longest is how many characters the longest part of a text has that is not broken without
// need.
func longest(text string) int {
	most, at := 0, 0
	for _, r := range text {
		if r == ' ' {
			at = 0
			continue
		}
		at++
		most = max(most, at)
		if strings.ContainsRune(marks, r) {
			at = 0
		}
	}
	return most
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
			for i := width; i > 0; i-- {
				if strings.ContainsRune(marks, letters[i-1]) {
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
