//go:build e2e

package program

import (
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// smallDisk mounts a disk of 256 KiB, on which no program has room.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"))
	t.Cleanup(func() { must.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

func TestProvide_fullDisk(t *testing.T) {
	for _, variable := range []string{"XDG_CACHE_HOME", "GOCACHE"} {
		t.Run(variable, func(t *testing.T) {
			full := smallDisk(t)
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
