package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonError says where a JSON document is broken, by line and column, or which of its
// values has the wrong type, by its path.
func jsonError(document []byte, err error) error {
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("it is no JSON document: %s: %s", lineColumn(document, wrong.Offset), strings.TrimPrefix(wrong.Error(), "json: "))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("it is no JSON document: %s: it ends too early", lineColumn(document, int64(len(document))))
	}
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	path := pathAt(document, wrong.Offset)
	if path == "" {
		return fmt.Errorf("want a JSON object, not %s", jsonWord(wrong.Value))
	}
	return fmt.Errorf("%s: want %s, not %s", path, jsonWord(wrong.Type.Kind().String()), jsonWord(wrong.Value))
}

// lineColumn is the place of the byte before an offset; both count from 1.
func lineColumn(document []byte, offset int64) string {
	before := document[:max(min(int(offset), len(document))-1, 0)]
	return fmt.Sprintf("line %d, column %d", 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n'))
}

// jsonWord is JSON's word for a kind of Go's or of encoding/json, with its article.
func jsonWord(kind string) string {
	kind, _, _ = strings.Cut(kind, " ")
	switch kind {
	case "struct", "map", "object":
		return "an object"
	case "slice", "array":
		return "a list"
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	}
	return "a number"
}

// pathAt is the path of the value that ends, or whose bracket opens, at an offset of a
// valid document, such as components[0].version. The document itself has none.
func pathAt(document []byte, offset int64) string {
	type level struct {
		list  bool
		index int
		name  string
		named bool // the name of the next value was read
	}
	var levels []level
	path := func() string {
		var b strings.Builder
		for _, l := range levels {
			if l.list {
				fmt.Fprintf(&b, "[%d]", l.index)
			} else {
				b.WriteString("." + l.name)
			}
		}
		return strings.TrimPrefix(b.String(), ".")
	}
	d := json.NewDecoder(bytes.NewReader(document))
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		at := len(levels) - 1
		bracket, _ := token.(json.Delim)
		closes := bracket == '}' || bracket == ']'
		if at >= 0 && !levels[at].list && !levels[at].named && !closes {
			levels[at].name, levels[at].named = fmt.Sprint(token), true
			continue
		}
		if closes {
			levels = levels[:at]
			at--
		} else if d.InputOffset() >= offset {
			return path()
		}
		if bracket == '{' || bracket == '[' {
			levels = append(levels, level{list: bracket == '['})
			continue
		}
		if at >= 0 {
			levels[at].index++
			levels[at].named = false
		}
	}
}
