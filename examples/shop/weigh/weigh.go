// Package weigh measures what the shop and the stack below it take of a machine,
// by kind of process. It reads /proc, so it works on Linux only.
package weigh

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of /proc/PID/stat, the same on every Linux that Go
// runs on.
const ticksPerSecond = 100

// Class is what all processes of one kind have taken.
type Class struct {
	Name      string
	Processes int
	CPU       time.Duration // since each began
	Resident  int64         // bytes; memory that several share counts for each
}

// Share is what a class took between two readings, as a share of one processor.
type Share struct {
	Class
	Processor float64 // 1 is one whole processor
}

// Reading is every process of the stack at one moment, by its number.
type Reading struct {
	At        time.Time
	processes map[int]process
}

type process struct {
	class    string
	cpu      time.Duration
	resident int64
}

// Read looks at the processes below proc, which is /proc but in tests.
func Read(proc string, now time.Time) (Reading, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return Reading{}, fmt.Errorf("read processes: %w", err)
	}
	r := Reading{At: now, processes: map[int]process{}}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// One that ended meanwhile has no files any more.
		if p, ok := read(filepath.Join(proc, e.Name())); ok {
			r.processes[pid] = p
		}
	}
	return r, nil
}

func read(folder string) (p process, ok bool) {
	line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
	if err != nil {
		return p, false
	}
	if p.class = classOf(strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")); p.class == "" {
		return p, false
	}
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return p, false
	}
	// After the name, which is in brackets and may hold anything, the fields from
	// the third on.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system, pages = 14 - 3, 15 - 3, 24 - 3
	if len(fields) <= pages {
		return p, false
	}
	number := func(at int) int64 {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		ok = ok && err == nil
		return n
	}
	ok = true
	p.cpu = time.Duration(number(user)+number(system)) * time.Second / ticksPerSecond
	p.resident = number(pages) * int64(os.Getpagesize())
	return p, ok
}

// classOf names the kind of a process of the stack; empty means that it is none.
func classOf(argv []string) string {
	program := filepath.Base(argv[0])
	command := ""
	if len(argv) > 1 {
		command = argv[1]
	}
	switch {
	case strings.HasPrefix(program, "qemu-system-"):
		return "QEMU machines"
	case program == "consul" && command == "connect":
		return "consul connect proxy"
	case program == "nomad" || program == "consul" || program == "shop":
		return strings.TrimSpace(program + " " + command)
	case program == "vault" || program == "prometheus" || program == "statsd_exporter" || program == "oakum":
		return program
	case program == "stack" && command == "discover":
		return "stack discover"
	}
	return ""
}

// Since is what each class took from an earlier reading to this one, the hungriest
// first. A process that began in between counts from its beginning.
func (r Reading) Since(earlier Reading) []Share {
	classes := map[string]*Share{}
	for pid, p := range r.processes {
		c := classes[p.class]
		if c == nil {
			c = &Share{Class: Class{Name: p.class}}
			classes[p.class] = c
		}
		c.Processes++
		c.Resident += p.resident
		c.CPU += p.cpu
		spent := p.cpu
		if before, ok := earlier.processes[pid]; ok && before.class == p.class {
			spent -= before.cpu
		}
		c.Processor += spent.Seconds() / r.At.Sub(earlier.At).Seconds()
	}
	list := make([]Share, 0, len(classes))
	for _, c := range classes {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Processor, a.Processor), strings.Compare(a.Name, b.Name))
	})
	return list
}
