package program

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// fullBelow is how many bytes must be left where a build writes: the smallest
// of the programs needs as many.
const fullBelow = 16 << 20

// diskIsFull reports whether a program says so (ENOSPC), whichever it is.
func diskIsFull(said string) bool {
	return strings.Contains(strings.ToLower(said), "no space left on device")
}

// place is a folder that a build writes to, and the variable that moves it.
type place struct{ variable, path string }

// fullest returns the one with the fewest bytes free.
func fullest(places []place) (place, uint64) {
	var least place
	fewest := uint64(math.MaxUint64)
	for _, p := range places {
		if free, ok := freeAt(p.path); ok && free < fewest {
			least, fewest = p, free
		}
	}
	return least, fewest
}

// freeAt tells how many bytes an ordinary process may still write at a path,
// or where it would be made.
func freeAt(path string) (uint64, bool) {
	for {
		var stat syscall.Statfs_t
		if err := syscall.Statfs(path, &stat); err == nil {
			return stat.Bavail * uint64(stat.Bsize), true
		} else if !os.IsNotExist(err) || filepath.Dir(path) == path {
			return 0, false
		}
		path = filepath.Dir(path)
	}
}
