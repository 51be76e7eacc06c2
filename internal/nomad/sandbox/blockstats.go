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
	// rootDisk is the name that Nomad's driver gives the disk of image_path.
	// Every other drive of a twin is read-only: isolateArgs refuses a machine with
	// writable ones.
	rootDisk = "image0"
	// uptimeMax is thirty years in seconds. A larger uptime is no uptime.
	uptimeMax = 1e9
)

// blockAnswer holds the fields that are needed of QEMU's answer to
// query-blockstats.
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

// blockCount holds the counters of a drive. A nil pointer is a missing counter, not
// zero.
type blockCount struct {
	Reads        *uint64 `json:"rd_operations"`
	Writes       *uint64 `json:"wr_operations"`
	BytesRead    *uint64 `json:"rd_bytes"`
	BytesWritten *uint64 `json:"wr_bytes"`
}

// blockStats finds the newest complete answer in the end of QEMU's output. Each
// answer is one line. The first line may lack its beginning, and the last line its
// end. When there is no answer, why says the reason.
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
	// Truncated answers leave a hole of zero bytes at the beginning of the file.
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

// whole reports whether every counter is present and none exceeds QEMU's integers.
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
