package qemu

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Patterns of values. A property may only have a value that its pattern matches as
// a whole.
const (
	anyOnOff  = `on|off|yes|no|true|false`
	anyNumber = `-?[0-9]+|0x[0-9a-fA-F]+`
	anySize   = `[0-9]+(\.[0-9]+)?[bBkKmMgGtT]?`
	anyWord   = `[A-Za-z0-9][A-Za-z0-9_.:-]*`
	anyID     = `[A-Za-z][A-Za-z0-9_.-]*`
	anyMAC    = `([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}`
	anyIP     = `[0-9]{1,3}(?:\.[0-9]{1,3}){3}`
	// anyText is text that QEMU only shows to the guest.
	anyText = `[^\x00-\x1f\x7f]*`
)

// properties are the properties that a flag or a device may have, with the pattern
// of each one's values.
type properties map[string]string

// and returns both sets of properties as one.
func (p properties) and(more properties) properties {
	out := maps.Clone(p)
	maps.Copy(out, more)
	return out
}

// matches reports whether a pattern matches the whole of a value.
func matches(pattern, value string) bool {
	return regexp.MustCompile(`\A(?:` + pattern + `)\z`).MatchString(value)
}

// option is one property with its value.
type option struct{ key, value string }

// options are the properties of one flag, in their order. No key is there twice,
// except hostfwd.
type options []option

// get returns the value of a property, or "" when it is not there.
func (o options) get(key string) string {
	for _, have := range o {
		if have.key == key {
			return have.value
		}
	}
	return ""
}

// without returns the options that have none of the keys.
func (o options) without(keys ...string) options {
	return slices.DeleteFunc(slices.Clone(o), func(have option) bool { return slices.Contains(keys, have.key) })
}

// String writes the options as QEMU reads them. The key of the first option is left
// out when it is implied.
func (o options) write(implied string) string {
	var parts []string
	for i, have := range o {
		value := strings.ReplaceAll(have.value, ",", ",,")
		if i == 0 && have.key == implied {
			parts = append(parts, value)
			continue
		}
		parts = append(parts, have.key+"="+value)
	}
	return strings.Join(parts, ",")
}

// argument is one flag of QEMU's command line, or one field of the driver's
// configuration, and where the job has it.
type argument struct {
	path  string // such as: task "vm", args[3]
	flag  string // with one dash; empty for a field
	value string
}

// refuse says why a twin can't have the argument.
func (a argument) refuse(format string, args ...any) error {
	what := a.path
	if a.flag != "" {
		what += ": " + a.flag
	}
	return api.Errorf(api.CodeInvalid, "%s: %s", what, fmt.Sprintf(format, args...))
}

// split reads the options of the argument's value: a=b,c=d, in which two commas
// stand for one comma of a value. The first option may leave out its key where one
// is implied. QEMU takes the last of two values of one key; a twin has no such key.
func (a argument) split(implied string) (options, error) {
	if strings.HasPrefix(a.value, "{") {
		return nil, a.refuse("a value in JSON is not allowed in a twin; write it as key=value,...")
	}
	var out options
	rest := a.value
	for first := true; rest != ""; first = false {
		var o option
		end := strings.IndexAny(rest, "=,")
		switch {
		case end >= 0 && rest[end] == '=':
			o.key, rest = rest[:end], rest[end+1:]
			o.value, rest = cutValue(rest)
		case first && implied != "":
			o.key = implied
			o.value, rest = cutValue(rest)
		default:
			word, _ := cutValue(rest)
			return nil, a.refuse("%q has no value; write %s=on or %s=off", word, word, word)
		}
		if o.key != "hostfwd" && slices.ContainsFunc(out, func(have option) bool { return have.key == o.key }) {
			return nil, a.refuse("property %q is there twice", o.key)
		}
		out = append(out, o)
	}
	return out, nil
}

// cutValue reads a value up to the comma that ends it.
func cutValue(text string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == ',' {
			if i+1 >= len(text) || text[i+1] != ',' {
				return b.String(), text[i+1:]
			}
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}

// check refuses an option that is not among the properties, or whose value does not
// match.
func (a argument) check(o options, allowed properties) error {
	for _, have := range o {
		pattern, ok := allowed[have.key]
		if !ok {
			return a.refuse("property %q is not allowed in a twin (allowed: %s)", have.key,
				strings.Join(slices.Sorted(maps.Keys(allowed)), ", "))
		}
		if !matches(pattern, have.value) {
			return a.refuse("%s=%s is not allowed in a twin (allowed: %s)", have.key, have.value, pattern)
		}
	}
	return nil
}
