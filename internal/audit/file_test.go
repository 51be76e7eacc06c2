package audit

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func onDisk(path string) File {
	return File{Name: path, Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// parts are the files of a log, the rotated ones first.
func parts(t *testing.T, path string) []string {
	t.Helper()
	rotated, err := (&file{FileDevice: FileDevice{Path: path}}).rotated()
	must.NoError(t, err)
	return append(rotated, path)
}

func verifiedParts(t *testing.T, known Known, paths ...string) Report {
	t.Helper()
	var files []File
	for _, p := range paths {
		files = append(files, onDisk(p))
	}
	report, err := Verify(files, known)
	must.NoError(t, err)
	return report
}

func record(t *testing.T, l *Log, n int) {
	t.Helper()
	for range n {
		must.NoError(t, l.Record(Entry{Kind: KindRequest}))
	}
}

func TestFileDevice_GoesOnAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for range 3 {
		l := open(t, FileDevice{Path: path})
		record(t, l, 2)
		must.NoError(t, l.Close())
	}
	must.EqOp(t, uint64(9), verified(t, onDisk(path)).Last)
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.EqOp(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestFileDevice_ChainsAcrossRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit[1].log") // no pattern
	l := open(t, FileDevice{Path: path, RotateBytes: 1000})
	record(t, l, 20)
	must.Greater(t, 3, len(parts(t, path)))
	must.EqOp(t, uint64(21), verifiedParts(t, Known{}, parts(t, path)...).Entries)

	must.NoError(t, l.Close())
	must.NoError(t, os.Remove(path)) // as a crash between two steps of a rotation leaves it
	before := verifiedParts(t, Known{}, slices.DeleteFunc(parts(t, path), func(p string) bool { return p == path })...).Last
	l = open(t, FileDevice{Path: path})
	record(t, l, 1)
	must.EqOp(t, before+2, verifiedParts(t, Known{}, parts(t, path)...).Last)
}

func TestFileDevice_KeepsTheNewestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, FileDevice{Path: path, RotateBytes: 600, RotateKeep: 2})
	record(t, l, 20)
	must.SliceLen(t, 3, parts(t, path))
	report := verifiedParts(t, Known{Partial: true}, parts(t, path)...)
	must.EqOp(t, uint64(21), report.Last)
	must.Greater(t, uint64(1), report.First)
}

func TestFileDevice_CutsOffAnUnfinishedLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, FileDevice{Path: path})
	record(t, l, 1)
	must.NoError(t, l.Close())
	appendTo(t, path, `{"sequence":3,`)
	l = open(t, FileDevice{Path: path})
	must.NoError(t, l.Close())
	must.EqOp(t, uint64(3), verified(t, onDisk(path)).Entries)
	content, err := os.ReadFile(path)
	must.NoError(t, err)
	must.StrContains(t, string(content), `"torn":14`)
}

func TestFileDevice_RefusesALogThatWasAltered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, FileDevice{Path: path})
	must.NoError(t, l.Close())
	appendTo(t, path, "{}\n")
	_, err := New(Options{Devices: []Device{FileDevice{Path: path}}})
	must.ErrorContains(t, err, "open audit file "+path)
	must.ErrorContains(t, err, "keep it as evidence, and move it away")
}

func TestFileDevice_BelongsToOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	open(t, FileDevice{Path: path})
	_, err := New(Options{Devices: []Device{FileDevice{Path: path}}})
	must.ErrorContains(t, err, "another process writes to it")
}

func TestFileDevice_FollowsAFileThatWasMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, FileDevice{Path: path})
	record(t, l, 2)
	must.NoError(t, os.Rename(path, path+".old"))
	record(t, l, 2)
	must.EqOp(t, uint64(5), verifiedParts(t, Known{}, path+".old", path).Entries)
}

func TestFileDevice_TakesNothingInAFileThatOthersChanged(t *testing.T) {
	for name, change := range map[string]func(*testing.T, string){
		"cut":      func(t *testing.T, path string) { t.Helper(); must.NoError(t, os.Truncate(path, 10)) },
		"appended": func(t *testing.T, path string) { t.Helper(); appendTo(t, path, "{}\n") },
		"replaced": func(t *testing.T, path string) {
			t.Helper()
			must.NoError(t, os.Remove(path))
			must.NoError(t, os.WriteFile(path, []byte("{}\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			l := open(t, FileDevice{Path: path})
			change(t, path)
			err := l.Record(Entry{Kind: KindRequest})
			must.True(t, api.IsCode(err, api.CodeUnavailable))
			must.StrContains(t, api.AsError(err).Details[0], "move it away")
			must.NoError(t, os.Rename(path, path+".evidence"))
			must.NoError(t, l.Ready())
		})
	}
}

func TestFileDevice_LeavesNothingOfAWriteThatFailed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	s, end, _, err := FileDevice{Path: path}.open()
	must.NoError(t, err)
	f := s.(*file)
	line, next, err := end.Seal(Entry{Kind: KindStart})
	must.NoError(t, err)
	must.NoError(t, f.write(line, next))
	appendTo(t, path, "half a li")
	f.part = true // as a write that failed leaves it
	line, next, err = next.Seal(Entry{Kind: KindRequest})
	must.NoError(t, err)
	must.NoError(t, f.write(line, next))
	must.NoError(t, f.close())
	must.EqOp(t, uint64(2), verified(t, onDisk(path)).Entries)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must.NoError(t, err)
	_, err = f.WriteString(text)
	must.NoError(t, err)
	must.NoError(t, f.Close())
}
