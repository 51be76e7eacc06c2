package manifests

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime/debug"
	"slices"
	"strings"
)

// leastSize is smaller than any program of Go, in bytes.
const leastSize = 256 << 10

// program tells the modules of a file, if it is a program of Go.
func (r *reader) program(name string, d fs.DirEntry) error {
	info, err := d.Info()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	case info.Size() < leastSize:
		return nil
	}
	file, err := r.root.Open(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	magic := make([]byte, 4)
	if _, err := file.ReadAt(magic, 0); err != nil || string(magic) != elf.ELFMAG {
		return nil //nolint:nilerr // a file that can't be read as a program is none
	}
	built, err := buildinfo.Read(file)
	switch {
	case err != nil && isGo(file):
		r.skip(golang, name, "it is a program of Go that does not say of which modules it is made")
		return nil
	case err != nil:
		return nil //nolint:nilerr // a program of another language
	case built.Main.Path == "" && !strings.HasPrefix(built.Path, "cmd/"): // those of Go itself have no modules
		r.skip(golang, name, "it was built without modules, so that it does not say of what it is made")
	}
	r.module("stdlib", goVersion(built.GoVersion), name)
	if built.Main.Path != "" {
		r.module(built.Main.Path, built.Main.Version, name)
	}
	for _, m := range built.Deps {
		by := replaced(m)
		r.module(by.Path, by.Version, name)
		if by.Path != m.Path { // such as a fork, with what the former had at some time
			r.aside(golang, m.Path, "it was built from "+by.Path+" in its place")
		}
	}
	return nil
}

// module tells of one module. Without a version, it was built from a folder.
func (r *reader) module(module, version, at string) {
	if version == "" || version == "(devel)" {
		r.aside(golang, module, "it was built from a folder, so that its version is not known")
		return
	}
	namespace, name := path.Split(module)
	r.add(golang, at, strings.TrimSuffix(namespace, "/"), name, version)
}

// isGo reports whether a program that does not say so was built by Go all the same.
func isGo(file io.ReaderAt) bool {
	program, err := elf.NewFile(file)
	return err == nil && slices.ContainsFunc(program.Sections, func(s *elf.Section) bool {
		return slices.Contains([]string{".gopclntab", ".go.buildinfo", ".note.go.buildid"}, s.Name)
	})
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

// goVersion is the version in "go1.26.7 X:nocoverageredesign", or "".
func goVersion(text string) string {
	version, _, _ := strings.Cut(text, " ")
	if !strings.HasPrefix(version, "go1") {
		return ""
	}
	return version
}
