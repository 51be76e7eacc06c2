package promql

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Place is where a byte of a text stands in the HCL file that the text was written in.
// The range is that of the expression, of which the text is the value. It is false when
// the text is not written out there: the expression computes it, or reads it from a file.
func Place(file []byte, expr hcl.Range, offset int) (hcl.Range, bool) {
	if !expr.CanSliceBytes(file) {
		return hcl.Range{}, false
	}
	written := expr.SliceBytes(file)
	var at int
	var ok bool
	switch {
	case bytes.HasPrefix(written, []byte(`"`)):
		at, ok = inQuotes(written, offset)
	case bytes.HasPrefix(written, []byte("<<")):
		at, ok = inHeredoc(written, offset)
	}
	if !ok {
		return hcl.Range{}, false
	}
	// The scanner counts bytes from where the fragment begins.
	scan := hcl.NewRangeScannerFragment(written[:at], expr.Filename, hcl.Pos{Line: expr.Start.Line, Column: expr.Start.Column}, whole)
	scan.Scan()
	pos := scan.Range().End
	pos.Byte += expr.Start.Byte
	return hcl.Range{Filename: expr.Filename, Start: pos, End: pos}, true
}

// whole takes a text as one token.
func whole(text []byte, _ bool) (advance int, token []byte, err error) { return len(text), text, nil }

// inQuotes finds a byte of the value of a quoted text in the text as it was written.
func inQuotes(written []byte, offset int) (int, bool) {
	value := 0
	for at := 1; at < len(written); {
		from, to := escaped(written[at:])
		switch {
		case value+to > offset || written[at] == '"':
			return at, value+to > offset || value == offset
		case interpolated(written[at:]):
			return 0, false
		}
		at, value = at+from, value+to
	}
	return 0, false
}

// escaped is how many bytes the next character has as it was written, and in the value.
func escaped(text []byte) (written, value int) {
	switch {
	case bytes.HasPrefix(text, []byte("$${")), bytes.HasPrefix(text, []byte("%%{")):
		return 3, 2
	case len(text) > 1 && text[0] == '\\':
		for _, long := range []struct {
			letter byte
			digits int
		}{{'u', 4}, {'U', 8}} {
			if text[1] != long.letter || len(text) < 2+long.digits {
				continue
			}
			if r, err := strconv.ParseUint(string(text[2:2+long.digits]), 16, 32); err == nil {
				return 2 + long.digits, utf8.RuneLen(rune(r)) //nolint:gosec // 32 bits at most
			}
		}
		return 2, 1
	}
	return 1, 1
}

func interpolated(text []byte) bool {
	return bytes.HasPrefix(text, []byte("${")) || bytes.HasPrefix(text, []byte("%{"))
}

// inHeredoc finds a byte of the value of a heredoc. The value has the lines after the
// first, less the indentation that they share where the heredoc begins with <<-.
func inHeredoc(written []byte, offset int) (int, bool) {
	first := bytes.IndexByte(written, '\n')
	if first < 0 || bytes.Contains(written, []byte("${")) || bytes.Contains(written, []byte("%{")) {
		return 0, false
	}
	body := bytes.SplitAfter(written[first+1:], []byte("\n"))
	if len(body) > 0 { // the last line is the marker
		body = body[:len(body)-1]
	}
	cut := 0
	if bytes.HasPrefix(written, []byte("<<-")) {
		cut = indentation(body)
	}
	at := first + 1
	for _, line := range body {
		inside := len(line)
		if len(bytes.TrimSpace(line)) > 0 {
			inside -= cut
		}
		if offset < inside {
			return at + len(line) - inside + offset, true
		}
		offset -= inside
		at += len(line)
	}
	return at, offset == 0
}

// indentation is how many spaces all lines that are not blank begin with. HCL leaves
// blank lines as they are.
func indentation(lines [][]byte) int {
	least := -1
	for _, line := range lines {
		text := bytes.TrimLeftFunc(line, unicode.IsSpace)
		if n := len(line) - len(text); len(text) > 0 && (least < 0 || n < least) {
			least = n
		}
	}
	return max(least, 0)
}
