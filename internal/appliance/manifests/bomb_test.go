package manifests

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// TestJar_UnpacksNoMoreThanItsShare: a small archive may have any number of large entries, and
// those that are too large to be read take their time too.
func TestJar_UnpacksNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	const entry = "META-INF/maven/a/b/pom.properties"
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, text := range []string{"groupId=a\nartifactId=b\nversion=1\n", strings.Repeat("x", 2*manifestMax)} {
		f, err := w.Create(entry)
		must.NoError(t, err)
		_, err = f.Write([]byte(text))
		must.NoError(t, err)
	}
	must.NoError(t, w.Close())
	read := func(opened int64) *reader {
		r := &reader{
			ctx: t.Context(), lines: map[string]bool{}, seen: map[string]bool{}, unread: map[string]int{},
			named: map[string]bool{}, distributed: map[string]bool{}, opened: opened,
		}
		must.NoError(t, r.jar("a.jar", bytes.NewReader(packed.Bytes()), int64(packed.Len()), 1))
		return r
	}
	r := read(0)
	must.MapContainsKey(t, r.lines, "package\tpkg:maven/a/b@1")
	must.EqOp(t, 1, r.unread[maven])
	must.Greater(t, manifestMax, r.opened, must.Sprint("what is too large counts"))

	r = read(openedMax + 1)
	must.EqOp(t, 2, r.unread[maven], must.Sprint("what was not unpacked is told as not read"))
	must.EqOp(t, openedMax+1, r.opened)

	t.Log("what is named is bounded before all of it is held")
	r.hold(r.lines, strings.Repeat("x", heldMax))
	must.ErrorContains(t, r.jar("a.jar", bytes.NewReader(packed.Bytes()), int64(packed.Len()), 1), "takes more than 4 MiB")
}
