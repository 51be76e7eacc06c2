package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// TestReferenceNamesEveryArgument walks the shape of a configuration file: the
// page that describes it, or one that it leads to, must name what may be set.
func TestReferenceNamesEveryArgument(t *testing.T) {
	var pages strings.Builder
	for _, page := range []string{"agent", "cluster", "tls", "graph"} {
		text, err := os.ReadFile("../../docs/reference/" + page + ".md")
		must.NoError(t, err)
		pages.Write(text)
	}
	var walk func(block string, shape reflect.Type)
	walk = func(block string, shape reflect.Type) {
		for field := range shape.Fields() {
			name, kind, _ := strings.Cut(field.Tag.Get("hcl"), ",")
			switch {
			case name == "" || kind == "label":
				continue
			case kind == "block":
				inner := field.Type
				for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
					inner = inner.Elem()
				}
				walk(block+name+".", inner)
			}
			quoted := strings.Contains(pages.String(), "`"+name)
			written := strings.Contains(pages.String(), name+" ") // in an example
			must.True(t, quoted || written, must.Sprintf("no page of docs/reference names %s%s", block, name))
		}
	}
	walk("", reflect.TypeFor[fileBlock]())
}
