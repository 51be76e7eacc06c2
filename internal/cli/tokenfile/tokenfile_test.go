package tokenfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/cli/tokenfile"
)

func TestFile_KeepsATokenForEachServer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "tokens")
	file := tokenfile.Of(func(name string) string { return map[string]string{tokenfile.Env: path, "HOME": "/elsewhere"}[name] })
	must.Eq(t, tokenfile.File(path), file)
	none, err := file.Read("https://a", now)
	must.NoError(t, err)
	must.Eq(t, tokenfile.Entry{}, none)

	must.NoError(t, file.Write("https://a", tokenfile.Entry{Token: "one", Expires: now.Add(time.Hour)}))
	must.NoError(t, file.Write("https://b", tokenfile.Entry{Token: "two"}))
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.Eq(t, os.FileMode(0o600), info.Mode())
	for address, want := range map[string]string{"https://a": "one", "https://b": "two", "https://c": ""} {
		got, err := file.Read(address, now)
		must.NoError(t, err)
		must.Eq(t, want, got.Token)
	}
	late, err := file.Read("https://a", now.Add(time.Hour))
	must.NoError(t, err)
	must.Eq(t, "", late.Token)
	must.NoError(t, file.Write("https://b", tokenfile.Entry{}))
	gone, err := file.Read("https://b", now)
	must.NoError(t, err)
	must.Eq(t, "", gone.Token)
	left, err := os.ReadDir(filepath.Dir(path))
	must.NoError(t, err)
	must.Len(t, 1, left)
}

func TestFile_RefusesWhatOthersMayRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	must.NoError(t, os.WriteFile(path, []byte("{}"), 0o644)) //nolint:gosec // it is what is refused
	must.NoError(t, os.Chmod(path, 0o644))                   //nolint:gosec // whatever the mask is
	_, err := tokenfile.File(path).Read("https://a", time.Now())
	must.ErrorContains(t, err, "chmod 600")
	must.NoError(t, os.Chmod(path, 0o600))
	must.NoError(t, os.WriteFile(path, []byte("hvs.a"), 0o600))
	_, err = tokenfile.File(path).Read("https://a", time.Now())
	must.ErrorContains(t, err, "no file of tokens")
	must.NoError(t, os.WriteFile(path, []byte("null"), 0o600))
	must.NoError(t, tokenfile.File(path).Write("https://a", tokenfile.Entry{Token: "x"}))
	must.ErrorContains(t, tokenfile.File("").Write("https://a", tokenfile.Entry{Token: "x"}), tokenfile.Env)
}
