package disk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"go.etcd.io/bbolt"

	"github.com/oakumhq/oakum/server/cluster/disk"
)

func TestOpen_LeavesADamagedLogAsItIs(t *testing.T) {
	t.Parallel()
	s := lived(t, 0, 0)
	sound, err := os.ReadFile(s.logPath())
	must.NoError(t, err)
	used := usedBytes(t, s.logPath())
	for name, text := range map[string][]byte{
		"garbage":          bytes.Repeat([]byte("oakum "), 20000),
		"a few bytes":      sound[:100],
		"one page":         sound[:4096],
		"a page is gone":   sound[:used-4096],
		"half":             sound[:used/2],
		"pages of nothing": blank(sound, 2*4096), // only the first two pages are there
	} {
		t.Run(name, func(t *testing.T) {
			must.NoError(t, os.WriteFile(s.logPath(), text, 0o600))
			must.ErrorContains(t, refused(t, s.cfg), "is damaged and was left as it is")
		})
	}
	must.NoError(t, os.WriteFile(s.logPath(), sound, 0o600))
	s.resumes(t)
}

// usedBytes is how much of the file bbolt has content in. The file grows in larger
// steps, and its last pages may be free: nobody would miss those.
func usedBytes(t *testing.T, path string) int {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must.NoError(t, err)
	defer func() { must.NoError(t, db.Close()) }()
	tx, err := db.Begin(false)
	must.NoError(t, err)
	defer func() { must.NoError(t, tx.Rollback()) }()
	page := db.Info().PageSize
	last := int(tx.Size())/page - 1
	for {
		info, err := tx.Page(last)
		must.NoError(t, err)
		if info.Type != "free" {
			return (last + 1) * page
		}
		last--
	}
}

// blank keeps the first bytes and makes zeroes of the rest.
func blank(text []byte, keep int) []byte {
	out := make([]byte, len(text))
	copy(out, text[:keep])
	return out
}

// Whatever happens to a page, the directory is refused and the file left alone, or
// the server has all that it had.
func TestOpen_NeitherCrashesNorLosesAnythingByADamagedPage(t *testing.T) {
	t.Parallel()
	s := lived(t, 0, 0)
	sound, err := os.ReadFile(s.logPath())
	must.NoError(t, err)
	random := rand.New(rand.NewPCG(3, 5))
	refusals, pages := 0, usedBytes(t, s.logPath())/4096
	for range 40 {
		broken := slices.Clone(sound)
		page := 2 + random.IntN(pages-2)
		for i := range 16 { // the head of the page: what it is, and how much is on it
			broken[page*4096+i] = byte(random.Uint32())
		}
		binary.LittleEndian.PutUint16(broken[page*4096+8:], uint16(random.Uint32()))
		must.NoError(t, os.WriteFile(s.logPath(), broken, 0o600))
		d, err := disk.Open(s.cfg)
		if err != nil {
			refusals++
			kept, readErr := os.ReadFile(s.logPath())
			must.NoError(t, readErr)
			must.True(t, bytes.Equal(broken, kept), must.Sprint(err))
			continue
		}
		must.NoError(t, d.Close())
		s.resumes(t)
	}
	must.Positive(t, refusals)
}

func TestGuard_MakesErrorsOfPanicsAndFaults(t *testing.T) {
	t.Parallel()
	must.NoError(t, disk.Guard(func() error { return nil }))
	cause := errors.New("cause")
	must.ErrorIs(t, disk.Guard(func() error { return cause }), cause)
	pages := []error{}
	must.ErrorContains(t, disk.Guard(func() error { return pages[len(pages)] }), "index out of range")

	file, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	must.NoError(t, err)
	defer func() { must.NoError(t, file.Close()) }()
	page, err := syscall.Mmap(int(file.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
	must.NoError(t, err)
	defer func() { must.NoError(t, syscall.Munmap(page)) }()
	must.ErrorContains(t, disk.Guard(func() error {
		if page[0] == 0 { // the file has no such page
			return nil
		}
		return cause
	}), "runtime error")
}
