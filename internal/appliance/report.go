package appliance

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Report is what the appliance said before it was switched off. A machine that was
// killed leaves the beginning of a report, which is a report too.
type Report struct {
	Root     string            // device and type of the image's root file system
	Before   map[string]string // versions of packages before the patch; only what is installed
	After    map[string]string // and after it
	Scripts  []Run             // that began
	Verifies []Run             // that began
	Kernels  []string          // versions of the kernels in /boot after the patch
	// Databases are the texts in which the image says what is installed after the patch:
	// "system" (its os-release), "dpkg", "apk", "rpm", and "languages" (what manifests of
	// programming languages say). One that was too large, or not whole, is empty.
	Databases map[string]string
	Fault     string // why the machine could not do its work; it is not the patch's fault
	Proved    bool   // every script and every command ended with status 0, and the texts were there
	Ended     bool   // the machine unmounted the image and switched itself off
	Digest    string // hex SHA-256 of the result; empty when there is none
}

// Run is one run of a script, or of a command that proves the fix.
type Run struct {
	Step    int // from 0
	Command int // from 0; 0 for a script
	Status  int // exit status; -1 while it runs
	Output  string
	Missing bool // the output lacks the text that was expected
	// Starved says that the kernel has killed a process for lack of memory.
	Starved bool
}

// Running is the run that had not ended when the report did. It returns false when
// there is none.
func (r *Report) Running() (run Run, verify, ok bool) {
	last, verify := r.last()
	if last == nil || last.Status >= 0 {
		return Run{}, false, false
	}
	return *last, verify, true
}

func (r *Report) last() (run *Run, verify bool) {
	switch {
	case len(r.Verifies) > 0:
		return &r.Verifies[len(r.Verifies)-1], true
	case len(r.Scripts) > 0:
		return &r.Scripts[len(r.Scripts)-1], false
	}
	return nil, false
}

// Kernel is the newest version of Kernels, and empty when there is none. Rescue
// kernels do not count.
func (r *Report) Kernel() string {
	kernels := slices.DeleteFunc(slices.Clone(r.Kernels), func(v string) bool { return strings.Contains(v, "rescue") })
	if len(kernels) == 0 {
		return ""
	}
	return slices.MaxFunc(kernels, compareVersions)
}

// compareVersions compares the numbers in two versions as numbers, and what is
// between them as text.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		na, ra := leading(a)
		nb, rb := leading(b)
		if len(na) != len(nb) && isDigit(na[0]) && isDigit(nb[0]) {
			return len(na) - len(nb)
		}
		if c := strings.Compare(na, nb); c != 0 {
			return c
		}
		a, b = ra, rb
	}
	return len(a) - len(b)
}

// leading cuts the first run of digits, or of other characters, off a text. Zeros
// before a number do not count.
func leading(s string) (part, rest string) {
	number := isDigit(s[0])
	end := 1
	for end < len(s) && isDigit(s[end]) == number {
		end++
	}
	part = s[:end]
	if number {
		part = strings.TrimLeft(part, "0")
		if part == "" {
			part = "0"
		}
	}
	return part, s[end:]
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// Parse reads a report. A last line without an end is left out, since the machine
// may have been killed while it wrote it. What the appliance does not write is an
// error: a process of the patch has written to the port.
func Parse(text string) (*Report, error) {
	r := &Report{Before: map[string]string{}, After: map[string]string{}}
	lines := strings.Split(text, "\n")
	for i, line := range lines[:len(lines)-1] {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
		if (i == 0) != (word == "oakum") {
			return nil, fmt.Errorf("read report of the appliance: line %d is %.200q", i+1, line)
		}
		if err := r.add(word, rest); err != nil {
			return nil, fmt.Errorf("read report of the appliance: line %d is %.200q: %w", i+1, line, err)
		}
	}
	return r, nil
}

// add takes one line.
func (r *Report) add(word, rest string) error {
	if r.Ended && word != "image" {
		return fmt.Errorf("the report has ended")
	}
	switch word {
	case "oakum":
		if rest != "1" {
			return fmt.Errorf("this server reads version 1: build the appliance anew")
		}
	case "root":
		r.Root = rest
	case "before":
		return addPackage(r.Before, rest)
	case "after":
		return addPackage(r.After, rest)
	case "database":
		return r.addDatabase(rest)
	case "kernel":
		r.Kernels = append(r.Kernels, rest)
	case "fault":
		r.Fault = rest
	case "proved":
		r.Proved = true
	case "end":
		r.Ended = true
	case "image":
		if r.Digest != "" || !r.Ended || !r.Proved {
			return fmt.Errorf("no image is expected")
		}
		r.Digest = rest
	default:
		return r.addRun(word, rest)
	}
	return nil
}

// databaseMax bounds the text of a database, in bytes.
const databaseMax = 8 << 20

// addDatabase takes a text that is packed.
func (r *Report) addDatabase(rest string) error {
	name, packed, _ := strings.Cut(rest, " ")
	if _, again := r.Databases[name]; again || !slices.Contains([]string{"system", "dpkg", "apk", "rpm", "languages"}, name) {
		return fmt.Errorf("want one text of each database")
	}
	if r.Databases == nil {
		r.Databases = map[string]string{}
	}
	content, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return fmt.Errorf("decode database: %w", err)
	}
	if len(content) == 0 {
		r.Databases[name] = ""
		return nil
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("unpack database: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(unpacked, databaseMax+1))
	switch {
	case err != nil:
		return fmt.Errorf("unpack database: %w", err)
	case len(text) > databaseMax:
		return fmt.Errorf("a database is larger than %d MiB", databaseMax>>20)
	}
	r.Databases[name] = string(text)
	return nil
}

func addPackage(versions map[string]string, rest string) error {
	name, version, ok := strings.Cut(rest, " ")
	if !ok || name == "" || version == "" || strings.Contains(version, " ") {
		return fmt.Errorf("want a package and its version")
	}
	versions[name] = version
	return nil
}

// addRun takes a line about a script or a command.
func (r *Report) addRun(word, rest string) error {
	last, verify := r.last()
	switch word {
	case "script", "verify":
		return r.begin(word, rest)
	case "killed", "output", "status":
		if last == nil || last.Status >= 0 || (word == "output" && !verify) {
			return fmt.Errorf("nothing runs")
		}
	case "missing":
		if !verify || last.Status != 0 {
			return fmt.Errorf("no command has ended")
		}
		last.Missing = true
		return nil
	default:
		return fmt.Errorf("the appliance writes no such line")
	}
	if word == "output" {
		output, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return fmt.Errorf("decode output: %w", err)
		}
		last.Output = string(output)
		return nil
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return fmt.Errorf("want a number")
	}
	if word == "killed" {
		last.Starved = n > 0
	} else {
		last.Status = n
	}
	return nil
}

// begin takes the line that a script or a command begins.
func (r *Report) begin(word, rest string) error {
	if last, verify := r.last(); last != nil && (last.Status != 0 || last.Missing || verify && word == "script") {
		return fmt.Errorf("it may not begin now")
	}
	step, command, two := strings.Cut(rest, " ")
	run := Run{Status: -1}
	var err error
	if run.Step, err = strconv.Atoi(step); err != nil {
		return fmt.Errorf("want a number")
	}
	if word == "script" {
		if two || run.Step != len(r.Scripts) {
			return fmt.Errorf("want script %d", len(r.Scripts))
		}
		r.Scripts = append(r.Scripts, run)
		return nil
	}
	if run.Command, err = strconv.Atoi(command); err != nil {
		return fmt.Errorf("want a number")
	}
	if run.Step >= len(r.Scripts) {
		return fmt.Errorf("there is no such script")
	}
	r.Verifies = append(r.Verifies, run)
	return nil
}
