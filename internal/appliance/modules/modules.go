// Package modules reads which modules of Go the programs of an image are made of.
package modules

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

const (
	// filesMax bounds the files that are looked at.
	filesMax = 2_000_000
	// textMax bounds what is told, in bytes. The appliance tells no text that is larger.
	textMax = 4 << 20
	// leastSize is smaller than any program of Go, in bytes.
	leastSize = 256 << 10
)

// Header is the first line of what Print tells.
const Header = "modules of Go"

// Print writes a line for each version of each module that the programs below a folder are
// made of: its path and its version, with a tab between them, sorted. The standard library is
// "stdlib". The version of a module that was built from a folder is "(devel)". Links are not
// followed, and what is mounted below the folder is read too, but for proc, sys, dev and run.
// An error of code invalid says that there is too much to read: what would be missing is
// unknown then, so nothing is written.
func Print(ctx context.Context, folder string, out io.Writer) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("read the programs below %s: %w", folder, err)
	}
	defer func() { _ = root.Close() }()
	found, files := map[string]bool{}, 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
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
		return read(root, name, d, found)
	})
	if err != nil {
		return fmt.Errorf("read the programs below %s: %w", folder, err)
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, Header)
	for _, line := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintln(&text, line)
	}
	if text.Len() > textMax {
		return api.Errorf(api.CodeInvalid, "read the programs below %s: their modules take more than %d MiB", folder, textMax>>20)
	}
	_, err = out.Write(text.Bytes())
	return err
}

// read adds the modules of one file, if it is a program of Go.
func read(root *os.Root, name string, d fs.DirEntry, found map[string]bool) error {
	info, err := d.Info()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	case info.Size() < leastSize:
		return nil
	}
	file, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	magic := make([]byte, 4)
	if _, err := file.ReadAt(magic, 0); err != nil || string(magic) != "\x7fELF" {
		return nil //nolint:nilerr // a file that can't be read as a program is none
	}
	built, err := buildinfo.Read(file)
	if err != nil {
		return nil //nolint:nilerr // a program of another language
	}
	add := func(module, version string) {
		if clean(module) && clean(version) {
			found[module+"\t"+version] = true
		}
	}
	add("stdlib", goVersion(built.GoVersion))
	if built.Main.Path != "" {
		add(built.Main.Path, orDevel(built.Main.Version))
	}
	for _, m := range built.Deps {
		m = replaced(m)
		add(m.Path, orDevel(m.Version))
	}
	return nil
}

// replaced is the module that was built in the place of another one.
func replaced(m *debug.Module) *debug.Module {
	if m.Replace == nil {
		return m
	}
	if r := m.Replace; r.Version != "" && !path.IsAbs(r.Path) && !strings.HasPrefix(r.Path, ".") {
		return r
	}
	return &debug.Module{Path: m.Path} // a folder has no version
}

func orDevel(version string) string {
	if version == "" {
		return "(devel)"
	}
	return version
}

// goVersion is the version in "go1.26.7 X:nocoverageredesign", or "(devel)".
func goVersion(text string) string {
	version, _, _ := strings.Cut(text, " ")
	if !strings.HasPrefix(version, "go1") {
		return "(devel)"
	}
	return version
}

// clean reports whether a text can stand in a line.
func clean(text string) bool { return text != "" && !strings.ContainsAny(text, "\t\r\n\x00") }
