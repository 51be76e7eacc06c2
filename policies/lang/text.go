package lang

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// ForMachine is a checker of texts that a machine is told, of at most so many bytes.
func ForMachine(most int) Checker {
	return func(v cty.Value) error {
		text := v.AsString()
		switch {
		case strings.TrimSpace(text) == "":
			return errors.New("want a text that is not empty")
		case len(text) > most:
			return fmt.Errorf("it has %d bytes, and may have %d", len(text), most)
		case strings.ContainsRune(text, 0):
			return errors.New("it holds a zero byte, which ends a text in the machine")
		}
		return nil
	}
}

// NoText says why the contents of a file can't be carried as they are: patches travel
// as JSON, which holds text. It is nil for text.
func NoText(contents string) error {
	for at, r := range contents {
		if r == utf8.RuneError && !strings.HasPrefix(contents[at:], string(utf8.RuneError)) {
			return fmt.Errorf("it is no UTF-8 text: byte 0x%02x at offset %d; what a patch needs and is no text goes into a payload", contents[at], at)
		}
	}
	return nil
}

// PlainObject turns a value into what encoding/json would read from it.
func PlainObject(v cty.Value) (map[string]any, error) {
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return nil, fmt.Errorf("write value: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("read value: %w", err)
	}
	return out, nil
}
