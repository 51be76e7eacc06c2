// Package feed keeps the advisories of a directory that somebody else fills, such as a cron
// job that unpacks the documents of OSV, and what two files say of exploits: the catalogue of
// CISA (KEV) and the probabilities of FIRST (EPSS).
//
// It looks at the files in an interval and reads those that have changed. In memory are, of
// every document, the names that it is about, and the whole of those documents that are about
// a package which is installed somewhere. What can't be read is named; what was read of it
// before stays. The package owns one goroutine, Run, and writes nothing.
package feed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

const (
	// every is the pause between two looks at the files. A cron job fills them daily.
	every = time.Minute
	// filesMax bounds the documents of a directory. All of Debian's have some 60,000.
	filesMax = 200_000
	// advisoriesMax bounds those that are about installed packages, or about any while nothing
	// is known to be installed. They are compared with
	// every inventory for each report.
	advisoriesMax = 5_000
	// askedMax bounds the documents that are read to answer one question.
	askedMax = 64
	// problemsMax bounds the files that are named, since all of them may be broken.
	problemsMax = 100
)

// Options are what a feed needs.
type Options struct {
	Dir  string // of OSV documents, *.json; empty for none
	KEV  string // the catalogue of exploited faults; empty for none
	EPSS string // the probabilities of exploits; empty for none
	// Installed are the names of the packages of all inventories. They are not changed.
	Installed func() (*advisory.Names, error)
	// Ticker ticks in an interval until stop is called.
	Ticker func(interval time.Duration) (ticks <-chan time.Time, stop func())
	Logger *slog.Logger
}

// Feed is what the files say. Its methods may be called at any time.
type Feed struct {
	opt       Options
	exploited ranking[api.Exploited]
	probable  ranking[api.EPSS]
	files     map[string]*document // by name; Run's alone

	mu      sync.Mutex
	now     advisory.Catalogue
	byFault map[string][]string // names of documents, by what they are asked for
}

// document is one file of the directory.
type document struct {
	size     int64
	modified time.Time
	problem  string // why the file as it is now can't be read
	faults   []string
	subjects []advisory.Subject
	whole    *advisory.Published // while it may be about something that is installed
}

// New makes a feed. It reads nothing.
func New(o Options) *Feed {
	return &Feed{
		opt: o, files: map[string]*document{},
		exploited: ranking[api.Exploited]{path: o.KEV, parse: advisory.ParseKEV},
		probable:  ranking[api.EPSS]{path: o.EPSS, parse: advisory.ParseEPSS},
	}
}

// Run reads the files and looks at them again in an interval, until ctx ends, whose cause it
// returns.
func (f *Feed) Run(ctx context.Context) error {
	ticks, stop := f.opt.Ticker(every)
	defer stop()
	for {
		f.look(ctx)
		select {
		case <-ticks:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Catalogue is what the last look has found. What it refers to must not be changed.
func (f *Feed) Catalogue() advisory.Catalogue {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Named reads the advisories of an ID, an alias or a fault, whether or not they are about
// something that is installed.
func (f *Feed) Named(name string) []advisory.Published {
	f.mu.Lock()
	names := f.byFault[name]
	f.mu.Unlock()
	var out []advisory.Published
	for _, file := range names[:min(len(names), askedMax)] {
		if one, err := f.read(file); err == nil {
			out = append(out, one)
		}
	}
	return out
}

// look reads what has changed.
func (f *Feed) look(ctx context.Context) {
	var problems []string
	for _, p := range []string{f.exploited.look(), f.probable.look(), f.scan(ctx)} {
		if p != "" {
			problems = append(problems, p)
		}
	}
	if ctx.Err() != nil {
		return
	}
	installed, err := f.opt.Installed()
	if err != nil {
		problems = append(problems, "what is installed: "+err.Error())
	}
	if installed != nil && f.opt.Dir != "" && len(installed.Blind()) > 0 {
		problems = append(problems, fmt.Sprintf("%d inventories name no packages, or no source packages, so that nobody knows which other advisories are about what they are of; the first is %s",
			len(installed.Blind()), installed.Blind()[0]))
	}
	next := advisory.Catalogue{Exploited: f.exploited.known, Probable: f.probable.known}
	byFault, broken, more := map[string][]string{}, 0, 0
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		d := f.files[name]
		for _, fault := range d.faults {
			byFault[fault] = append(byFault[fault], name)
		}
		if installed != nil {
			anything := installed.None() && len(next.Advisories) < advisoriesMax
			f.keep(name, d, anything || installed.Concerned(d.subjects))
		}
		switch {
		case d.whole == nil && d.problem == "":
			next.Others++
		case d.whole == nil:
		case len(next.Advisories) < advisoriesMax:
			next.Advisories = append(next.Advisories, *d.whole)
		default:
			more++
		}
		if d.problem != "" {
			if broken++; broken <= problemsMax {
				problems = append(problems, d.problem)
			}
		}
	}
	if broken > problemsMax {
		problems = append(problems, fmt.Sprintf("%s: %d further files can't be read", f.opt.Dir, broken-problemsMax))
	}
	if more > 0 {
		problems = append(problems, fmt.Sprintf("%s: %d advisories about installed packages are left out, since there are more than %d", f.opt.Dir, more, advisoriesMax))
	}
	next.Problems = problems
	f.mu.Lock()
	former := f.now.Problems
	f.now, f.byFault = next, byFault
	f.mu.Unlock()
	if !slices.Equal(former, problems) && len(problems) > 0 {
		f.opt.Logger.Warn("not all of the advisories can be read", "files", len(problems), "first", problems[0])
	}
}

// scan reads the documents of the directory that are new or have changed, and forgets those
// that are gone. It says why the directory can't be read, or not wholly.
func (f *Feed) scan(ctx context.Context) string {
	if f.opt.Dir == "" {
		return ""
	}
	entries, err := os.ReadDir(f.opt.Dir)
	if err != nil {
		return f.opt.Dir + ": " + cause(err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".json") })
	problem := ""
	if over := len(entries) - filesMax; over > 0 {
		entries, problem = entries[:filesMax], fmt.Sprintf("%s: %d documents are left out, since there are more than %d", f.opt.Dir, over, filesMax)
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		if ctx.Err() != nil {
			return ""
		}
		there[e.Name()] = true
		f.visit(e.Name())
	}
	for name := range f.files {
		if !there[name] {
			delete(f.files, name)
		}
	}
	return problem
}

// visit reads a document, unless it is as it was.
func (f *Feed) visit(name string) {
	d := f.files[name]
	if d == nil {
		d = &document{}
		f.files[name] = d
	}
	info, err := os.Stat(filepath.Join(f.opt.Dir, name)) // a link counts as what it leads to
	switch {
	case err != nil:
		*d = document{problem: f.path(name) + ": " + cause(err), faults: d.faults, subjects: d.subjects, whole: d.whole}
		return
	case !info.Mode().IsRegular():
		d.problem = f.path(name) + ": it is no regular file"
		return
	case info.Size() == d.size && info.ModTime().Equal(d.modified):
		return
	}
	d.size, d.modified, d.problem = info.Size(), info.ModTime(), ""
	one, err := f.read(name)
	if err != nil {
		d.problem = f.path(name) + ": " + api.AsError(err).Message
		return
	}
	d.faults, d.subjects = one.Faults(), one.Subjects()
	if d.whole != nil {
		d.whole = &one
	}
}

// keep holds the whole of a document while it is about something that is installed.
func (f *Feed) keep(name string, d *document, concerns bool) {
	switch {
	case !concerns:
		d.whole = nil
	case d.whole == nil && d.problem == "":
		one, err := f.read(name)
		if err != nil { // it has changed since: the next look reads it anew
			d.problem, d.modified = f.path(name)+": "+api.AsError(err).Message, time.Time{}
			return
		}
		d.whole = &one
	}
}

// read reads a document.
func (f *Feed) read(name string) (advisory.Published, error) {
	text, err := upTo(f.path(name), advisory.DocumentMax)
	if err != nil {
		return advisory.Published{}, err
	}
	one, err := advisory.ParseOSV(name, text)
	if err != nil {
		return advisory.Published{}, err
	}
	sum := sha256.Sum256(text)
	out := advisory.Published{Advisory: one, Digest: hex.EncodeToString(sum[:]), Known: one.Published}
	if out.Known.IsZero() {
		if info, err := os.Stat(f.path(name)); err == nil {
			out.Known = info.ModTime().UTC()
		}
	}
	return out, nil
}

func (f *Feed) path(name string) string { return filepath.Join(f.opt.Dir, name) }
