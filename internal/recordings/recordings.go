// Package recordings reads series that were measured on real systems, for tests
// that judge them. The excerpts in testdata travel with the repository; the
// environment variable OAKUM_DATA names a folder that holds the whole sets.
// testdata/README.md has their origins and licences.
package recordings

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// Path is a file or a folder of the recordings: in the whole sets when OAKUM_DATA
// names them, else in the excerpts.
func Path(t testing.TB, parts ...string) string {
	t.Helper()
	dir := os.Getenv("OAKUM_DATA")
	if dir == "" {
		_, here, _, ok := runtime.Caller(0)
		must.True(t, ok)
		dir = filepath.Join(filepath.Dir(here), "testdata")
	}
	return filepath.Join(append([]string{dir}, parts...)...)
}

// Table reads a CSV file: one map for each row, by the names of its first line.
func Table(t testing.TB, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	must.NoError(t, err)
	defer func() { must.NoError(t, f.Close()) }()
	rows, err := csv.NewReader(f).ReadAll()
	must.NoError(t, err)
	out := make([]map[string]string, 0, len(rows))
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		out = append(out, m)
	}
	return out
}

// Number reads a cell of a table.
func Number(t testing.TB, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	must.NoError(t, err, must.Sprint(text))
	return v
}

// Time reads a cell that holds a date and a time of day, in UTC; fractions of a
// second are left out.
func Time(t testing.TB, text string) time.Time {
	t.Helper()
	const layout = "2006-01-02 15:04:05"
	at, err := time.Parse(layout, text[:min(len(text), len(layout))])
	must.NoError(t, err)
	return at
}
