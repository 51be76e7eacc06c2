package manifests

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

const (
	// nestingMax bounds archives in archives: an ear has a war, which has jars.
	nestingMax = 5
	// nestedMax bounds an archive in an archive, in bytes, since it is read into memory.
	nestedMax = 64 << 20
	// openedMax bounds all that is unpacked of archives, in bytes. Entries may share their
	// bytes, so that a small archive has any number of large ones.
	openedMax = 4 << 30
)

// isArchive reports whether a file has programs of Java.
func isArchive(name string) bool {
	return slices.Contains([]string{".jar", ".war", ".ear", ".jpi", ".hpi", ".par", ".sar", ".nar", ".kar", ".lpkg"}, strings.ToLower(path.Ext(name)))
}

// isProperties reports whether Maven has written down in a file of which package it is part.
func isProperties(name string) bool {
	return path.Base(name) == "pom.properties" && strings.Contains("/"+name, "/META-INF/maven/")
}

func (r *reader) archive(name string, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return r.jar(name, file, info.Size(), 1)
}

// jar reads an archive, and those in it.
func (r *reader) jar(name string, from io.ReaderAt, size int64, depth int) error {
	archive, err := zip.NewReader(from, size)
	if err != nil {
		r.skip(maven, name, "it is no archive of Java that can be read")
		return nil //nolint:nilerr // the file is told as one that could not be read
	}
	named, classes := false, false
	for _, entry := range archive.File {
		if err := r.broken(); err != nil {
			return err
		}
		classes = classes || strings.HasSuffix(entry.Name, ".class")
		at := name + "!/" + entry.Name
		switch {
		case isProperties(entry.Name):
			named = true
			err = r.entry(at, entry, manifestMax, func(content []byte) error { r.coordinates(at, content); return nil })
		case isArchive(entry.Name) && depth == nestingMax:
			r.skip(maven, at, fmt.Sprintf("it lies more than %d archives deep", nestingMax))
		case isArchive(entry.Name):
			err = r.entry(at, entry, nestedMax, func(content []byte) error {
				return r.jar(at, bytes.NewReader(content), int64(len(content)), depth+1)
			})
		}
		if err != nil {
			return err
		}
	}
	if classes && !named && !r.ofRuntime(archive) {
		r.skip(maven, name, "it has no pom.properties, so that it does not say which package it is")
	}
	return nil
}

// entry reads one entry of an archive. What can't be read is told as such.
func (r *reader) entry(at string, entry *zip.File, most int64, use func([]byte) error) error {
	content, err := r.unpack(entry, most)
	if err != nil {
		r.skip(maven, at, "it can't be read, or is too large")
		return nil //nolint:nilerr // the file is told as one that could not be read
	}
	return use(content)
}

func (r *reader) unpack(entry *zip.File, most int64) ([]byte, error) {
	if r.opened > openedMax {
		return nil, errors.New("there is too much in archives")
	}
	from, err := entry.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", entry.Name, err)
	}
	defer func() { _ = from.Close() }()
	content, err := io.ReadAll(io.LimitReader(from, most+1))
	r.opened += int64(len(content))
	if err == nil && int64(len(content)) > most {
		err = errors.New("it is too large")
	}
	return content, err
}

// ofRuntime reports whether an archive is a part of Java itself, which is no package.
func (r *reader) ofRuntime(archive *zip.Reader) bool {
	for _, entry := range archive.File {
		if entry.Name == "META-INF/MANIFEST.MF" {
			content, err := r.unpack(entry, manifestMax)
			return err == nil && bytes.Contains(content, []byte("Implementation-Title: Java Runtime Environment"))
		}
	}
	return false
}

func (r *reader) properties(name string, file *os.File) error {
	content, ok, err := r.small(maven, name, file)
	if err == nil && ok {
		r.coordinates(name, content)
	}
	return err
}

// coordinates reads what Maven writes: a line for each of groupId, artifactId and version.
func (r *reader) coordinates(at string, content []byte) {
	fields := map[string]string{}
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	group, artifact, version := fields["groupId"], fields["artifactId"], fields["version"]
	if group == "" || strings.ContainsAny(group+artifact+version, `${}\`) {
		artifact = "" // a name that was to be filled in
	}
	r.add(maven, at, group, artifact, version)
}
