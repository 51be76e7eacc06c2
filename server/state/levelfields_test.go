package state

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/server/state/levels"
)

// fieldsOf lists the JSON fields of a type, with what they are in: a field of an element
// of a list or a map is written like one of the list.
func fieldsOf(t reflect.Type, path string, within []reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || slices.Contains(within, t) {
		return nil
	}
	var out []string
	for f := range t.Fields() {
		name, inner := fieldName(f), path
		if name == "" && !f.Anonymous {
			continue
		}
		if name != "" {
			inner += "." + name
			out = append(out, inner)
		}
		out = append(out, fieldsOf(f.Type, inner, append(slices.Clone(within), t))...)
	}
	return out
}

// fieldName is the name of a field in JSON; "" for an embedded struct, and for what is not
// written.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name == "-", name == "" && f.Anonymous, !f.IsExported():
		return ""
	case name == "":
		return f.Name
	}
	return name
}

// setField gives the field of a path a value, and makes all that it is in.
func setField(v reflect.Value, path []string) bool {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setField(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte("1"))
		}
		return len(path) == 0 || setField(v.Index(0), path)
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		set := setField(element, path)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a").Convert(v.Type().Key()), element)
		return set
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
			return true
		}
		if len(path) == 0 {
			return true
		}
		for f, member := range v.Fields() {
			if name := fieldName(f); name == path[0] && setField(member, path[1:]) || name == "" && f.Anonymous && setField(member, path) {
				return true
			}
		}
		return false
	case reflect.String:
		v.SetString("a")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		v.Set(reflect.ValueOf(true))
	case reflect.Array:
		return len(path) == 0 || setField(v.Index(0), path)
	default:
		v.Set(reflect.ValueOf(1).Convert(v.Type()))
	}
	return true
}

// written reports whether a field is in what JSON was read as.
func written(v any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(element any) bool { return written(element, path) })
	case map[string]any:
		if member, ok := v[path[0]]; ok {
			return written(member, path[1:])
		}
		for _, element := range v { // a map by names that are no fields
			if _, ok := element.(map[string]any); ok && written(element, path) {
				return true
			}
		}
	}
	return false
}

// allFields lists the fields of all commands that a level has.
func allFields(level int) []string {
	var out []string
	for kind := Type(1); newCommand(kind) != nil; kind++ {
		if cmd := reflect.TypeOf(newCommand(kind)).Elem(); newCommand(kind).level() <= level {
			out = append(out, fieldsOf(cmd, cmd.Name(), nil)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// readFields reads which fields servers of a level know.
func readFields(t *testing.T, level int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/fields/v%d.txt", level))
	must.NoError(t, err)
	return strings.Fields(string(text))
}

// TestEncode_TellsALevelNothingThatItDoesNotKnow gives each field that is newer than a
// level to a cluster of that level. What a former server does not know it drops, and its
// state differs from the others' from then on: such a field belongs to a newer level, and
// is left out below it or refused (level.go). Before Supported is raised, -update
// lists what the present level knows.
func TestEncode_TellsALevelNothingThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	if *update {
		list := fmt.Sprintf("testdata/fields/v%d.txt", levels.Supported)
		must.NoError(t, os.WriteFile(list, []byte(strings.Join(allFields(levels.Supported), "\n")+"\n"), 0o600))
	}
	for level := levels.Six; level < levels.Supported; level++ {
		known, newer := readFields(t, level), 0
		for _, field := range allFields(levels.Supported) {
			if slices.Contains(known, field) {
				continue
			}
			newer++
			must.False(t, tells(t, level, field), must.Sprintf("a cluster of level %d is told of %s", level, field))
		}
		must.Positive(t, newer)
	}
}

// tells reports whether a command with a field has it in an entry of a level. A command
// that is refused there tells nothing.
func tells(t *testing.T, level int, field string) bool {
	t.Helper()
	path := strings.Split(field, ".")
	for kind := Type(1); newCommand(kind) != nil; kind++ {
		cmd := newCommand(kind)
		if reflect.TypeOf(cmd).Elem().Name() != path[0] {
			continue
		}
		must.True(t, setField(reflect.ValueOf(cmd).Elem(), path[1:]), must.Sprint(field))
		if cmd = fit(cmd, level); cmd.level() > level {
			return false
		}
		text, err := json.Marshal(cmd)
		must.NoError(t, err, must.Sprint(field))
		var read any
		must.NoError(t, json.Unmarshal(text, &read))
		return written(read, path[1:])
	}
	t.Fatalf("no command is called %s", path[0])
	return true
}
