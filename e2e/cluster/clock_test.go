//go:build e2e

package cluster_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/cluster"
	"github.com/oakumhq/oakum/e2e/daemon"
)

// jumpsSource is added to Go's package time for the servers of TestClocks: the
// wall clock jumps at the moments after the start of the process that the
// environment names, as "milliseconds:seconds" separated by commas. A process
// can't be given a wall clock of its own in any other way: time namespaces know
// only the monotonic clock, a static binary loads no library, and the machine's
// clock is not the test's to set.
const jumpsSource = `package time

import "syscall"

var jumps []int64

func init() {
	text, _ := syscall.Getenv("OAKUM_TEST_JUMPS")
	var number, sign int64 = 0, 1
	for i := 0; i <= len(text); i++ {
		if i == len(text) || text[i] == ':' || text[i] == ',' {
			if i > 0 {
				jumps = append(jumps, sign*number)
			}
			number, sign = 0, 1
		} else if text[i] == '-' {
			sign = -1
		} else {
			number = number*10 + int64(text[i]-'0')
		}
	}
}

func jumped(mono int64) (seconds int64) {
	for i := 0; i+1 < len(jumps); i += 2 {
		if mono-startNano > jumps[i]*1e6 {
			seconds += jumps[i+1]
		}
	}
	return seconds
}
`

// jumping builds a server whose wall clock jumps when it is told to.
func jumping(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	must.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	must.NoError(t, err)
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	must.NoError(t, err)
	const now = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n"
	must.StrContains(t, string(text), now, must.Sprint("this Go reads the clock in another way"))
	patched := strings.Replace(string(text), now, "\tsec, nsec, mono := runtimeNow()\n\tsec += jumped(mono)\n\tif mono == 0 {\n", 1)
	dir := t.TempDir()
	for name, content := range map[string]string{"time.go": patched, "jumps.go": jumpsSource} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(source, "time.go"):  filepath.Join(dir, "time.go"),
		filepath.Join(source, "jumps.go"): filepath.Join(dir, "jumps.go"),
	}})
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644))
	return build(t, root, "jumping", "-overlay="+filepath.Join(dir, "overlay.json")).binary
}

// TestClocks has each server's wall clock jump an hour ahead and two hours back
// while callers write, whoever leads, with monotonic clocks that are years
// apart from the start.
//
// A term or a call may be lost because the machine is busy, but not each time.
func TestClocks(t *testing.T) {
	binary := jumping(t)
	for range 3 {
		if clocksJump(t, binary) {
			return
		}
	}
	t.Fatal("each time that the clocks jumped a term or a call was lost")
}

// clocksJump reports whether no term and no call was lost meanwhile.
func clocksJump(t *testing.T, binary string) bool {
	t.Helper()
	const ahead, back = 8 * time.Second, 6 * time.Second // from the start; from there
	c := run(t, options{Options: daemon.Options{Servers: 3, Binary: binary}, NetworkOptions: cluster.NetworkOptions{
		Wrap: func(i int) []string {
			return []string{"unshare", "--time", "--fork", "--kill-child", fmt.Sprintf("--monotonic=%d", i*100_000_000), fmt.Sprintf("--boottime=%d", i*100_000_000)}
		},
		Env: func(i int) []string {
			at := (ahead + time.Duration(i)*time.Second).Milliseconds()
			return []string{fmt.Sprintf("OAKUM_TEST_JUMPS=%d:3600,%d:-7200", at, at+back.Milliseconds())}
		},
	}})
	began := time.Now()
	first := leader(t, c)
	l := c.Load(t.Context(), "clock")
	for time.Since(began) < ahead+back+4*time.Second {
		flows(t, l, "the cluster works whatever the clocks say")
	}
	history := verdict(t, c, l, true)
	last := leader(t, c)
	for i, s := range c.Servers {
		self := jumpsOf(s.Log())
		t.Logf("%s logged at wall clocks %s apart", s.Name, self)
		if i == first.Index {
			must.Greater(t, time.Hour, self, must.Sprint("its clock really jumped"))
		}
	}
	if last != first {
		t.Logf("%s leads instead of %s", last.Name, first.Name)
		return false
	}
	i := slices.IndexFunc(history, func(o cluster.Operation) bool { return o.Outcome != cluster.Done && o.Outcome != cluster.Absent })
	if i >= 0 {
		t.Log(history[i], ": ", history[i].Err)
	}
	return i < 0
}

// jumpsOf is how far apart the earliest and the latest line of a log are.
func jumpsOf(log string) time.Duration {
	var first, last time.Time
	for line := range strings.Lines(log) {
		text, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return last.Sub(first)
}
