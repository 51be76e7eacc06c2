package sandbox

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/twin"
)

// answer is one of QEMU's lines, with its root disk's counters.
func answer(id, counters string) string {
	return `{"return": [{"device": "ide1-cd0", "stats": {"rd_operations": 9, "wr_operations": 9, "rd_bytes": 9, "wr_bytes": 9}}, ` +
		`{"device": "image0", "parent": {"stats": {"rd_operations": 7, "wr_operations": 7}}, "stats": {` + counters + `}}], "id": ` + id + "}\r\n"
}

const counters = `"rd_operations": 1, "wr_operations": 2, "rd_bytes": 512, "wr_bytes": 4096, "flush_operations": 5, "unmap_operations": 6`

func TestBlockStats(t *testing.T) {
	good := answer(`"1383.87"`, counters)
	want := twin.Blocks{At: 1383870 * time.Millisecond, Operations: 3, Bytes: 4608}
	greeting := `{"QMP": {"version": {}, "capabilities": ["oob"]}}` + "\r\n" + `{"return": {}}` + "\r\n"
	cases := map[string]struct {
		text string
		want twin.Blocks
		why  string
	}{
		"one answer":        {greeting + good, want, ""},
		"the newest":        {answer(`"1382.87"`, `"rd_operations": 0, "wr_operations": 0, "rd_bytes": 0, "wr_bytes": 0`) + good, want, ""},
		"begins anywhere":   {good[40:] + good, want, ""},
		"ends anywhere":     {good + strings.Replace(good, "1383", "1384", 1)[:80], want, ""},
		"after a hole":      {strings.Repeat("\x00", 4096) + good, want, ""},
		"asked twice":       {good + `{"error": {"class": "CommandNotFound", "desc": "negotiation is already complete"}}` + "\r\n", want, ""},
		"an event after it": {good + `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RTC_CHANGE"}` + "\r\n", want, ""},
		"nothing":           {"", twin.Blocks{}, "QEMU has not answered"},
		"half an answer":    {good[:100], twin.Blocks{}, "QEMU has not answered"},
		"greeting alone":    {greeting, twin.Blocks{}, "no answer about its disks"},
		"an error":          {`{"id": "5.0", "error": {"desc": "out of memory"}}` + "\n", twin.Blocks{}, "QEMU answered: out of memory"},
		"no root disk":      {strings.Replace(good, "image0", "image1", 1), twin.Blocks{}, `no disk "image0"`},
		"no counters":       {answer(`"5.0"`, `"rd_operations": 1`), twin.Blocks{}, "does not count"},
		"negative":          {answer(`"5.0"`, strings.Replace(counters, "512", "-512", 1)), twin.Blocks{}, "no answer about its disks"},
		"beyond integers":   {answer(`"5.0"`, strings.Replace(counters, "512", "9223372036854775808", 1)), twin.Blocks{}, "does not count"},
		"a time of nothing": {answer(`"0.00"`, counters), twin.Blocks{}, `a question of "0.00"`},
		"a time of words":   {answer(`"NaN"`, counters), twin.Blocks{}, `a question of "NaN"`},
		"a foreign id":      {answer(`7`, counters), twin.Blocks{}, "no answer about its disks"},
		"without an id":     {answer(`""`, counters), twin.Blocks{}, "no answer about its disks"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			blocks, why := blockStats([]byte(c.text))
			must.Eq(t, c.want, blocks)
			must.StrContains(t, why, c.why)
			must.Eq(t, c.why == "", why == "")
		})
	}
}

// TestBlockStats_OfQEMU reads what QEMU 7.2 wrote for a machine that has read its
// first sector.
func TestBlockStats_OfQEMU(t *testing.T) {
	text, err := os.ReadFile("testdata/blockstats.json")
	must.NoError(t, err)
	blocks, why := blockStats(text)
	must.Eq(t, "", why)
	must.Eq(t, twin.Blocks{At: 1383870 * time.Millisecond, Operations: 1, Bytes: 512}, blocks)
	must.Less(t, answersMax/4, len(text), must.Sprint("so that the end of the file has several"))
}

// FuzzBlockStats: whatever is there, a whole answer has a time, and half lines
// around an answer change nothing.
func FuzzBlockStats(f *testing.F) {
	f.Add([]byte(answer(`"1383.87"`, counters)))
	f.Add([]byte("\x00\x00{\"return\": {}}\r\n"))
	f.Add([]byte(answer(`"1e400"`, `"rd_operations": -1`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		blocks, why := blockStats(text)
		must.Eq(t, why == "", blocks.At > 0)
		if why != "" {
			must.Eq(t, twin.Blocks{}, blocks)
			return
		}
		around := append([]byte("half a line}\n"), text...)
		again, why := blockStats(append(around, `{"return": [`...))
		must.Eq(t, "", why)
		must.Eq(t, blocks, again)
	})
}
