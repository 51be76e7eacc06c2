package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestOutput_StableFormsAreDocumented holds the pages about stable JSON to the types:
// each field has a line with its path and type, and no line is left over.
func TestOutput_StableFormsAreDocumented(t *testing.T) {
	for page, root := range map[string]any{
		"rollout-status.md": api.Rollout{},
		"graph-show.md":     api.Graph{},
		"rehearsal.md":      api.Rehearsal{},
	} {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("../../docs/reference", page))
			must.NoError(t, err)
			documented := map[string]string{}
			for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+\\.[a-z_0-9]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(text), -1) {
				documented[m[1]] = strings.TrimSpace(m[2])
			}
			want := map[string]string{}
			describe(reflect.TypeOf(root), want)
			for field := range want {
				if documented[field] == "" {
					fmt.Printf("%s has no line: | `%s` | %s | |\n", page, field, want[field])
				}
			}
			must.Eq(t, want, documented, must.Sprint("the page and the type differ"))
		})
	}
}

// describe lists the fields of a type and of all types under it, as
// type.field, with their JSON types.
func describe(t reflect.Type, into map[string]string) {
	describeFields(t, strings.ToLower(t.Name()), into)
}

func describeFields(t reflect.Type, owner string, into map[string]string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			describeFields(f.Type, owner, into)
			continue
		}
		kind, listed := f.Type, ""
		if kind.Kind() == reflect.Slice && kind != reflect.TypeFor[json.RawMessage]() {
			kind, listed = kind.Elem(), "list of "
		}
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		word := jsonType(kind)
		into[owner+"."+name] = listed + word
		if kind.Kind() == reflect.Struct && word != "time" {
			describe(kind, into)
		}
	}
}

func jsonType(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[api.Duration]():
		return "duration"
	case reflect.TypeFor[json.RawMessage]():
		return "any"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64:
		return "number"
	case reflect.Struct:
		return strings.ToLower(t.Name())
	default:
		return "object"
	}
}
