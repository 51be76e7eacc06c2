package manifests

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// owned are the manifests that the package manager of a distribution has installed.
type owned struct {
	files map[string]bool
	// blind says that the image has a database of rpm, of which nobody has said what it names.
	blind bool
}

// has reports whether the distribution has installed a file.
func (o owned) has(name string) bool { return o.files[merged(name)] }

// unsure reports whether nobody knows whether the distribution has installed a file.
func (o owned) unsure(name string) bool {
	return o.blind && strings.HasPrefix(merged(name), "usr/") && !strings.HasPrefix(name, "usr/local/")
}

// merged is the path of a file where /lib is a link to /usr/lib. The databases of some
// packages say the former.
func merged(name string) string {
	if strings.HasPrefix(name, "lib/") || strings.HasPrefix(name, "lib64/") {
		return "usr/" + name
	}
	return name
}

// readOwned reads which manifests the databases of dpkg and apk name, and those of a list, a
// path on each line. Without a list, nobody knows which files rpm has installed.
func readOwned(root fs.FS, list io.Reader) (owned, error) {
	o := owned{files: map[string]bool{}}
	add := func(name string) {
		name = path.Clean(strings.TrimPrefix(name, "/"))
		if _, read := manifestOf(name); read != nil {
			o.files[merged(name)] = true
		}
	}
	if list != nil {
		if err := eachLine(list, add); err != nil {
			return owned{}, fmt.Errorf("read the list of files: %w", err)
		}
	} else {
		o.blind = hasRPM(root)
	}
	lists, err := fs.Glob(root, "var/lib/dpkg/info/*.list")
	if err != nil {
		return owned{}, fmt.Errorf("read the database of dpkg: %w", err)
	}
	sums, err := fs.Glob(root, "var/lib/dpkg/status.d/*.md5sums")
	if err != nil {
		return owned{}, fmt.Errorf("read the database of dpkg: %w", err)
	}
	folder := ""
	for _, source := range []struct {
		files []string
		line  func(string)
	}{
		{lists, add},
		{sums, func(line string) { _, name, _ := strings.Cut(line, "  "); add(name) }},
		{[]string{"lib/apk/db/installed"}, func(line string) {
			switch key, value, _ := strings.Cut(line, ":"); key {
			case "F":
				folder = value
			case "R":
				add(path.Join(folder, value))
			}
		}},
	} {
		for _, name := range source.files {
			if err := eachLineOf(root, name, source.line); err != nil {
				return owned{}, err
			}
		}
	}
	return o, nil
}

// hasRPM reports whether an image has a database of rpm, in any of its formats.
func hasRPM(root fs.FS) bool {
	for _, folder := range []string{"var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"} {
		for _, file := range []string{"Packages", "Packages.db", "rpmdb.sqlite"} {
			if _, err := fs.Stat(root, path.Join(folder, file)); err == nil {
				return true
			}
		}
	}
	return false
}

// eachLineOf reads a file that may be missing. To open a pipe would wait for its writer.
func eachLineOf(root fs.FS, name string, use func(string)) error {
	info, err := fs.Stat(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	var file fs.File
	if err == nil {
		file, err = root.Open(name)
	}
	if err == nil {
		defer func() { _ = file.Close() }()
		err = eachLine(file, use)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func eachLine(from io.Reader, use func(string)) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		use(lines.Text())
	}
	return lines.Err() //nolint:wrapcheck // the caller says what was read
}
