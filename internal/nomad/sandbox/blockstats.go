package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// rootDisk is what Nomad's driver calls the disk of image_path. Any other
	// drive of a twin is read-only: cutOff refuses the rest.
	rootDisk = "image0"
	// uptimeMax is in seconds: thirty years.
	uptimeMax = 1e9
)

// blockAnswer is QEMU's answer to query-blockstats, as far as it is needed.
type blockAnswer struct {
	ID     string `json:"id"`
	Return []struct {
		Device string      `json:"device"`
		Stats  *blockCount `json:"stats"`
	} `json:"return"`
	Error *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

// blockCount is what a drive has done. Pointers tell zero from absent.
type blockCount struct {
	Reads        *uint64 `json:"rd_operations"`
	Writes       *uint64 `json:"wr_operations"`
	BytesRead    *uint64 `json:"rd_bytes"`
	BytesWritten *uint64 `json:"wr_bytes"`
}

// blockStats finds the newest whole answer in the end of what QEMU wrote, a line
// each. The first line may lack its beginning and the last one its end. Without
// an answer it says why there is none.
func blockStats(text []byte) (blocks twin.Blocks, why string) {
	lines := bytes.Split(text, []byte("\n"))
	why = "QEMU has not answered"
	for i := len(lines) - 2; i >= 0; i-- {
		blocks, err := blockLine(lines[i])
		if err == nil {
			return blocks, ""
		}
		if i == len(lines)-2 {
			why = err.Error()
		}
	}
	return twin.Blocks{}, why
}

// blockLine reads one answer.
func blockLine(line []byte) (twin.Blocks, error) {
	var a blockAnswer
	// Bytes of zero are the hole that a forgotten answer leaves.
	if err := json.Unmarshal(bytes.TrimLeft(line, "\x00"), &a); err != nil || a.ID == "" && a.Error == nil {
		return twin.Blocks{}, fmt.Errorf("QEMU's last line is no answer about its disks")
	}
	if a.Error != nil {
		return twin.Blocks{}, fmt.Errorf("QEMU answered: %s", a.Error.Desc)
	}
	up, err := strconv.ParseFloat(a.ID, 64)
	if err != nil || !(up > 0 && up < uptimeMax) {
		return twin.Blocks{}, fmt.Errorf("QEMU answered a question of %q", a.ID)
	}
	for _, d := range a.Return {
		if d.Device != rootDisk {
			continue
		}
		if s := d.Stats; s.whole() {
			return twin.Blocks{
				At:         time.Duration(up * float64(time.Second)),
				Operations: *s.Reads + *s.Writes,
				Bytes:      *s.BytesRead + *s.BytesWritten,
			}, nil
		}
		return twin.Blocks{}, fmt.Errorf("QEMU does not count what disk %q does", rootDisk)
	}
	return twin.Blocks{}, fmt.Errorf("QEMU has no disk %q", rootDisk)
}

// whole reports whether every counter is there, and none beyond what QEMU's
// integers hold.
func (s *blockCount) whole() bool {
	if s == nil {
		return false
	}
	for _, c := range []*uint64{s.Reads, s.Writes, s.BytesRead, s.BytesWritten} {
		if c == nil || *c > math.MaxInt64 {
			return false
		}
	}
	return true
}
