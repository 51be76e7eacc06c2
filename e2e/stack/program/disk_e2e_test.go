//go:build e2e

package program

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// smallDisk mounts a disk of so many KiB.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	must.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", size)))
	t.Cleanup(func() { must.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

func TestProvide_fullDisk(t *testing.T) {
	for _, variable := range []string{"XDG_CACHE_HOME", "GOCACHE"} {
		t.Run(variable, func(t *testing.T) {
			full := smallDisk(t, 256) // on which no program has room
			r := newRig(t, t.TempDir())
			if variable == "GOCACHE" {
				t.Setenv("GOCACHE", full)
			} else {
				r.Cache, r.cache = full, cache{full}
			}
			err := r.provide(t.Context())
			must.ErrorContains(t, err, "provide greet: the disk of "+full+" is full (0 MB are left)")
			must.ErrorContains(t, err, "set "+variable+" to a folder of another disk")
			must.StrNotContains(t, err.Error(), "\n")
			must.SliceEmpty(t, glob(t, r.Cache, ".greet*"))
			must.SliceEmpty(t, glob(t, r.Links, "*"))
		})
	}
}

// TestProvide_fillsTheDisk: wherever between the first file and the link the disk is
// full, the cache keeps nothing of it.
func TestProvide_fillsTheDisk(t *testing.T) {
	failed := 0
	for size := 64; ; size *= 2 {
		r := newRig(t, smallDisk(t, size))
		err := r.provide(t.Context())
		if err == nil {
			must.StrHasPrefix(t, r.Cache, r.linked(t))
			break
		}
		failed++
		must.ErrorContains(t, err, "provide greet: the disk of "+r.Cache+" is full")
		must.StrNotContains(t, err.Error(), "\n")
		must.SliceEmpty(t, glob(t, r.Links, "*"))
		for _, left := range append(glob(t, r.Cache, "*"), glob(t, r.Cache, ".*")...) {
			must.StrHasSuffix(t, ".lock", left)
		}
	}
	must.Greater(t, 3, failed)
}

// TestProvide_noRoomForTheLink has a disk without room where the checkout is.
func TestProvide_noRoomForTheLink(t *testing.T) {
	r := newRig(t, t.TempDir())
	r.Links = smallDisk(t, 64)
	must.ErrorIs(t, os.WriteFile(filepath.Join(r.Links, "other"), make([]byte, 1<<20), 0o600), syscall.ENOSPC)
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 40)) // a short link takes no room
	must.NoError(t, os.MkdirAll(long, 0o755))
	r.Cache, r.cache = long, cache{long}
	must.EqError(t, r.provide(t.Context()), "provide greet: the disk of "+r.Links+" is full (0 MB are left): make room there")
	must.Eq(t, []string{filepath.Join(r.Links, "other")}, glob(t, r.Links, "*"))
}
