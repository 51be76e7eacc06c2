package manifests

import (
	"archive/zip"
	"cmp"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// isPython reports whether a file is the metadata of a package that is installed.
func isPython(name string) bool {
	folder, base := path.Base(path.Dir(name)), path.Base(name)
	switch base {
	case "METADATA":
		return strings.HasSuffix(folder, ".dist-info")
	case "PKG-INFO":
		return strings.HasSuffix(folder, ".egg-info") || folder == "EGG-INFO"
	}
	return strings.HasSuffix(base, ".egg-info")
}

// metadata reads the fields before the first empty line.
func (r *reader) metadata(name string, file *os.File) error {
	content, err := io.ReadAll(io.LimitReader(file, manifestMax)) // a description may follow
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	r.fields(name, content)
	return nil
}

// fields reads the metadata of a package.
func (r *reader) fields(name string, content []byte) {
	fields := map[string]string{}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		key, value, found := strings.Cut(line, ":")
		if key = strings.ToLower(key); found && fields[key] == "" {
			fields[key] = strings.TrimSpace(value)
		}
	}
	r.add(pypi, name, "", fields["name"], fields["version"])
}

// byPip reports whether the metadata of a package says that something else than rpm has
// installed it.
func (r *reader) byPip(name string) bool {
	if path.Base(name) != "METADATA" {
		return false
	}
	installer := ""
	err := eachLineOf(r.root.FS(), path.Join(path.Dir(name), "INSTALLER"), func(line string) { installer = cmp.Or(installer, strings.TrimSpace(line)) })
	return err == nil && installer != "" && installer != "rpm"
}

// isPacked reports whether a file is a program of Python with all that it needs.
func isPacked(name string) bool {
	return slices.Contains([]string{".egg", ".pex", ".pyz", ".shiv"}, path.Ext(name))
}

// packed reads the metadata in a program that is an archive.
func (r *reader) packed(name string, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	archive, err := zip.NewReader(file, info.Size())
	if err != nil {
		r.skip(pypi, name, "it is no archive of Python that can be read")
		return nil //nolint:nilerr // the file is told as one that could not be read
	}
	found := false
	for _, entry := range archive.File {
		if err := r.broken(); err != nil {
			return err
		}
		at := name + "!/" + entry.Name
		switch {
		case isPython(entry.Name):
			found = true
			if content, err := r.unpack(entry, manifestMax); err == nil {
				r.fields(at, content)
			} else {
				r.skip(pypi, at, "it can't be read, or is too large")
			}
		case isPacked(entry.Name) || strings.HasSuffix(entry.Name, ".whl"):
			found = true
			r.skip(pypi, at, "it is an archive in an archive")
		}
	}
	if !found {
		r.skip(pypi, name, "it does not say of which packages it is made")
	}
	return nil
}
