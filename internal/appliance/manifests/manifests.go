// Package manifests reads which packages of programming languages lie below a folder: the
// modules that programs of Go are made of, and what npm, pip, Maven and RubyGems have written
// down of what they have installed. It runs nothing, and reads files that nobody vouches for.
package manifests

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"

	"github.com/oakumhq/oakum/api"
)

const (
	// filesMax bounds the files that are looked at.
	filesMax = 2_000_000
	// textMax bounds what is told, in bytes. The appliance tells no text that is larger.
	textMax = 4 << 20
	// manifestMax bounds a manifest, in bytes.
	manifestMax = 1 << 20
	// unreadMax bounds the files of an ecosystem that could not be read and are told one by
	// one.
	unreadMax = 50
	// fieldMax bounds a name or a version, in bytes.
	fieldMax = 1024
	// heldMax bounds what is held in memory before it is told, in bytes.
	heldMax = 4 * textMax
)

// Header is the first line of what Print tells.
const Header = "manifests of languages"

// Ecosystems that are read, by the types of package URLs.
const (
	golang = "golang"
	npm    = "npm"
	pypi   = "pypi"
	maven  = "maven"
	gem    = "gem"
)

// Print writes what is installed below a folder: after Header, lines of fields with tabs
// between them, sorted.
//
//	package URL         a package URL with a version
//	aside NAME REASON   an entry that nothing can be compared with: a file, a module, or a
//	                    package URL without a version
//	whole TYPE          all was read that was seen of an ecosystem
//	part TYPE           some was seen of an ecosystem that could not be read
//
// What the package manager of a distribution has installed is left out, since it is a
// package of the distribution, with fixes that its version does not tell. A package that
// somebody else has installed too has an entry aside, by its package URL without a version.
// owned are paths of files that the package manager has installed, beside those that the
// databases of dpkg and apk name.
//
// Links are not followed, and what is mounted below the folder is read too, but for proc,
// sys, dev and run. An error of code invalid says that there is too much to read: what would
// be missing is unknown then, so nothing is written.
func Print(ctx context.Context, folder string, owned io.Reader, out io.Writer) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("read the manifests below %s: %w", folder, err)
	}
	defer func() { _ = root.Close() }()
	r := &reader{
		ctx: ctx, root: root, lines: map[string]bool{}, seen: map[string]bool{}, unread: map[string]int{},
		named: map[string]bool{}, distributed: map[string]bool{},
	}
	if r.owned, err = readOwned(root.FS(), owned); err == nil {
		err = r.walk()
	}
	if err != nil {
		return fmt.Errorf("read the manifests below %s: %w", folder, err)
	}
	text := r.text()
	if len(text) > textMax {
		return fmt.Errorf("read the manifests below %s: %w", folder, tooMuch())
	}
	_, err = out.Write(text)
	return err
}

// reader gathers what manifests say.
type reader struct {
	ctx    context.Context //nolint:containedctx // it lives as long as one call of Print
	root   *os.Root
	owned  owned
	lines  map[string]bool
	seen   map[string]bool // ecosystems
	unread map[string]int  // files, by ecosystem
	opened int64           // bytes that were unpacked
	held   int             // bytes of the lines and names

	// named and distributed are package URLs without versions, of what is told and of what
	// the package manager of a distribution has installed.
	named, distributed map[string]bool
	// left says that the file under way is one of the latter.
	left bool
}

// broken says why reading ends before everything was read; nil when it goes on.
func (r *reader) broken() error {
	switch {
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case r.held > heldMax:
		return tooMuch()
	}
	return nil
}

func tooMuch() error {
	return api.Errorf(api.CodeInvalid, "what they name takes more than %d MiB", textMax>>20)
}

// hold puts a text into one of the reader's sets.
func (r *reader) hold(set map[string]bool, text string) {
	if !set[text] {
		set[text] = true
		r.held += len(text)
	}
}

func (r *reader) walk() error {
	files := 0
	return fs.WalkDir(r.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case r.broken() != nil:
			return r.broken()
		case err != nil:
			return fmt.Errorf("read %s: %w", name, err)
		case d.IsDir() && slices.Contains([]string{"proc", "sys", "dev", "run"}, name):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		if files++; files > filesMax {
			return api.Errorf(api.CodeInvalid, "there are more than %d files", filesMax)
		}
		return r.file(name, d)
	})
}

// file reads one file, if it says what is installed.
func (r *reader) file(name string, d fs.DirEntry) error {
	ecosystem, read := manifestOf(name)
	r.left = r.owned.has(name)
	switch {
	case read == nil:
		return r.program(name, d)
	case r.left:
	case r.owned.unsure(name) && !r.byPip(name):
		r.skip(ecosystem, name, "nobody knows whether the image's rpm has installed it")
		return nil
	}
	file, err := r.root.Open(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	return read(r, name, file)
}

// manifestOf says of which ecosystem a file says what is installed, and how it is read.
func manifestOf(name string) (ecosystem string, read func(*reader, string, *os.File) error) {
	switch {
	case isNPM(name):
		return npm, (*reader).packageJSON
	case isLock(name):
		return npm, (*reader).lock
	case isPython(name):
		return pypi, (*reader).metadata
	case isPacked(name):
		return pypi, (*reader).packed
	case isArchive(name):
		return maven, (*reader).archive
	case isProperties(name):
		return maven, (*reader).properties
	case isGem(name):
		return gem, (*reader).gemspec
	case isGitGem(name):
		return gem, (*reader).gitGem
	}
	return "", nil
}

// small reads a manifest. It returns false for one that is too large, which counts as unread.
func (r *reader) small(ecosystem, name string, from io.Reader) ([]byte, bool, error) {
	content, err := io.ReadAll(io.LimitReader(from, manifestMax+1))
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	case len(content) > manifestMax:
		r.skip(ecosystem, name, fmt.Sprintf("it is larger than %d MiB", manifestMax>>20))
		return nil, false, nil
	}
	return content, true, nil
}

// add tells of a package. at is the file that says so.
func (r *reader) add(ecosystem, at, namespace, name, version string) {
	if !clean(namespace+name) || name == "" || !clean(version) || version == "" {
		r.skip(ecosystem, at, "it says neither a name nor a version that a package can have")
		return
	}
	unversioned := packageurl.NewPackageURL(ecosystem, namespace, alike(ecosystem, name), "", nil, "").ToString()
	if r.left {
		r.hold(r.distributed, unversioned)
		return
	}
	r.seen[ecosystem] = true
	r.hold(r.named, unversioned)
	r.hold(r.lines, "package\t"+packageurl.NewPackageURL(ecosystem, namespace, name, version, nil, "").ToString())
}

// aside tells of an entry of which less is known than what can be compared.
func (r *reader) aside(ecosystem, name, reason string) {
	r.seen[ecosystem] = true
	r.hold(r.lines, "aside\t"+plain(name)+"\t"+reason)
}

// skip notes that a file was seen and not read, so that the ecosystem is read in part only.
func (r *reader) skip(ecosystem, at, reason string) {
	if r.left {
		return
	}
	if r.unread[ecosystem]++; r.unread[ecosystem] <= unreadMax {
		r.aside(ecosystem, at, reason)
	}
}

func (r *reader) text() []byte {
	for ecosystem := range r.seen {
		switch n := r.unread[ecosystem]; {
		case n == 0:
			r.lines["whole\t"+ecosystem] = true
		case n > unreadMax:
			r.lines[fmt.Sprintf("aside\t%d other files\tthey could not be read, as others of %s", n-unreadMax, ecosystem)] = true
			fallthrough
		default:
			r.lines["part\t"+ecosystem] = true
		}
	}
	for name := range r.distributed {
		if r.named[name] { // nobody knows which faults that of the distribution has
			r.lines["aside\t"+name+"\tthe distribution has installed it too, and may have mended it without another version"] = true
		}
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, Header)
	for _, line := range slices.Sorted(maps.Keys(r.lines)) {
		fmt.Fprintln(&text, line)
	}
	return text.Bytes()
}

// clean reports whether a text can be a part of a package URL that somebody reads.
func clean(text string) bool {
	return utf8.ValidString(text) && len(text) <= fieldMax && !strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) })
}

// alike is a name in one form for all that mean the same package.
func alike(ecosystem, name string) string {
	if ecosystem != pypi {
		return name
	}
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return strings.ContainsRune("-_.", c) }), "-")
}

// plain is a text without anything that ends a field of a line.
func plain(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return '?'
		}
		return c
	}, text)
	if len(text) > fieldMax {
		text = strings.ToValidUTF8(text[:fieldMax], "")
	}
	return cmp.Or(text, "?")
}

// under reports whether a file lies directly in a folder of a name.
func under(name, folder string) bool { return path.Base(path.Dir(name)) == folder }
