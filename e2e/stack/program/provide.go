package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options says for which checkout programs are provided, and from where.
type Options struct {
	Root  string    // of the checkout, whose e2e/stack has the modules to build from
	Links string    // folder of the links to the programs; made when missing
	Cache string    // folder of what is built; made when missing
	Build bool      // nothing is taken from PATH but what comes from Debian alone
	Log   io.Writer // progress for a person
}

// FromEnvironment returns the options of a checkout: links in .stack/bin, the
// cache in the user's cache folder, and Build where STACK=build says so.
func FromEnvironment(root string, log io.Writer) (Options, error) {
	o := Options{Root: root, Links: filepath.Join(root, ".stack", "bin"), Log: log}
	switch value := os.Getenv("STACK"); value {
	case "":
	case "build":
		o.Build = true
	default:
		return o, fmt.Errorf("read STACK: %q: want build, which takes nothing from PATH, or nothing", value)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return o, fmt.Errorf("find the user's cache folder: %w: set HOME or XDG_CACHE_HOME", err)
	}
	o.Cache = filepath.Join(user, "oakum", "stack")
	return o, nil
}

// provider carries Provide out.
type provider struct {
	Options
	cache cache
}

// Provide leaves a link to each program in o.Links. It says of each where it
// comes from, and how the builds get on. An error names in a sentence each what
// is missing and what to do.
func Provide(ctx context.Context, o Options) error {
	p := provider{Options: o, cache: cache{o.Cache}}
	if err := os.MkdirAll(p.Links, 0o755); err != nil {
		return p.explain(fmt.Errorf("provide the stack's programs: %w", err))
	}
	var failed []error
	var missing []source
	for _, program := range Catalog() {
		s, found, err := p.find(ctx, program)
		switch {
		case ctx.Err() != nil: // then the next ones can't be found either
			return err
		case err != nil:
			failed = append(failed, err)
		case !found:
			missing = append(missing, s)
		}
	}
	// What no build can mend is told before the builds take their time.
	failed = append(failed, p.debian(ctx))
	if err := errors.Join(failed...); err != nil {
		return err
	}
	p.announce(missing)
	for _, s := range missing {
		// What stops one build (no network, a full disk, a person) stops the next.
		if err := p.make(ctx, s); err != nil {
			return err
		}
	}
	p.say("the stack's programs are ready in %s", p.Links)
	return nil
}

func (p provider) say(format string, args ...any) { fmt.Fprintf(p.Log, format+"\n", args...) }

// tell says something about one program.
func (p provider) tell(name, format string, args ...any) {
	p.say("%-16s "+format, append([]any{name}, args...)...)
}

// source is what one program is made from.
type source struct {
	Program
	version string // empty: the one that Debian has
	key     string // of the cache
}

// find links a program that is there. Otherwise it returns what to make it from.
func (p provider) find(ctx context.Context, program Program) (source, bool, error) {
	if !p.Build {
		at := onPath(ctx, program, p.Links)
		if ctx.Err() != nil { // it may have been about to tell its version
			return source{}, false, fmt.Errorf("provide %s: %w", program.Name, context.Cause(ctx))
		}
		if at != nil {
			if program.takes(at.version) {
				p.tell(program.Name, "%s on PATH: %s", at.version, at.path)
				return source{}, true, p.link(program.Name, at.path)
			}
			p.tell(program.Name, "%s is not taken: it is %s, and the stack needs %s", at.path, known(at.version), program.Range())
		}
	}
	s, err := p.source(ctx, program)
	if err != nil {
		return s, false, err
	}
	path := p.cache.find(program.Name, s.key)
	if path == "" {
		return s, false, nil
	}
	p.tell(program.Name, "%s in the cache: %s", s.version, path)
	return s, true, p.link(program.Name, path)
}

func known(version string) string {
	if version == "" {
		return "of no version that it tells"
	}
	return version
}

func (p provider) source(ctx context.Context, program Program) (source, error) {
	if program.Module == "" {
		return debianSource(program)
	}
	return p.moduleSource(ctx, program)
}

// announce says what is going to be made, and how long that usually takes.
func (p provider) announce(missing []source) {
	if len(missing) == 0 {
		return
	}
	var names []string
	var usual time.Duration
	for _, s := range missing {
		names = append(names, s.Name)
		usual += s.usual
	}
	p.say("%d of %d programs are missing: %s", len(missing), len(Catalog()), strings.Join(names, ", "))
	if usual > 0 {
		p.say("building takes about %.0f min on two idle cores, once for all checkouts of this machine", usual.Minutes())
	}
}

// make produces a program into the cache and links it.
func (p provider) make(ctx context.Context, s source) error {
	produce := func(into string) error { return p.build(ctx, s, into) }
	if s.Module == "" {
		produce = func(into string) error { return p.unpack(ctx, s, into) }
	}
	wait := func() { p.tell(s.Name, "another process is at it: waiting for that one") }
	path, err := p.cache.fill(ctx, s.Name, s.key, s.version, wait, produce)
	if err != nil {
		return p.explain(fmt.Errorf("provide %s: %w", s.Name, err))
	}
	return p.link(s.Name, path)
}

// link leaves the link to a program.
func (p provider) link(name, to string) error {
	if err := link(to, filepath.Join(p.Links, name)); err != nil {
		return p.explain(fmt.Errorf("provide %s: %w", name, err))
	}
	return nil
}
