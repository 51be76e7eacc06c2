package manifests_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/appliance/manifests"
	"github.com/oakumhq/oakum/internal/inventory"
)

// FuzzPrint checks that no manifest makes the reader panic or fail, and that a server takes
// what is told of it.
func FuzzPrint(f *testing.F) {
	names := []string{
		"node_modules/a/package.json", "a.dist-info/METADATA", "a.jar", "META-INF/maven/a/b/pom.properties", "specifications/a-1.gemspec", "a.egg",
		"var/lib/dpkg/info/a.list", "lib/apk/db/installed",
	}
	for i, content := range []string{
		`{"name": "@a/b", "version": "1"}`, "Name: a\nVersion: 1\n", nested(f, 2, map[string]string{names[3]: pom("a", "b", "1")}), pom("a", "b", "1\t2"),
		"# stub: a 1 ruby lib\n", string(archive(f, map[string]string{"EGG-INFO/PKG-INFO": "Name: a\x01\nVersion: 1\n"})), "/../a.jar\n\n", "R:x\nF:\nR:a.jar\n",
	} {
		f.Add(i, []byte(content))
	}
	f.Fuzz(func(t *testing.T, which int, content []byte) {
		path := filepath.Join(t.TempDir(), names[uint(which)%uint(len(names))]) //nolint:gosec // any of them
		root := strings.TrimSuffix(path, names[uint(which)%uint(len(names))])   //nolint:gosec // any of them
		must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.NoError(t, os.WriteFile(path, content, 0o600))
		var out bytes.Buffer
		err := manifests.Print(t.Context(), root, bytes.NewReader(content), &out)
		if err != nil { // a list of files with a line of 64 KiB
			must.ErrorContains(t, err, "too long")
			return
		}
		_, err = inventory.FromImage("image", map[string]string{"languages": out.String()})
		if err != nil {
			must.ErrorContains(t, err, "there is no database")
		}
	})
}
