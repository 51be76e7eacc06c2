package manifests_test

import (
	"archive/zip"
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/shoenig/test/must"
)

// archive packs files.
func archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		must.NoError(t, err)
		_, err = f.Write([]byte(files[name]))
		must.NoError(t, err)
	}
	must.NoError(t, w.Close())
	return out.Bytes()
}

// nested packs files into archives in archives.
func nested(t testing.TB, depth int, files map[string]string) string {
	t.Helper()
	content := archive(t, files)
	for range depth - 1 {
		content = archive(t, map[string]string{"x.jar": string(content)})
	}
	return string(content)
}
