// Package input reads the files that commands name: sources with what they refer to,
// recordings of requests, inventories, and advisories. Each kind has a bound, of an access
// log each line, and each error says which file.
package input

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

// Max is the most that is read of one file with everything that it refers to, such
// as a policy with a recorded workload. The API takes twice as much.
const Max = 6 << 20

// Source reads an HCL file under the name that was typed, so that
// diagnostics name what the person knows. "-" is standard input.
func Source(path string, stdin io.Reader) (api.SourceFile, error) {
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, Max+1))
		if err != nil {
			return api.SourceFile{}, api.Errorf(api.CodeInvalid, "read standard input: %v", err)
		}
		return api.SourceFile{Name: "stdin.hcl", Text: string(text)}, tooLarge("standard input", len(text))
	}
	text, err := Limited(path)
	if err != nil {
		return api.SourceFile{}, err
	}
	return api.SourceFile{Name: filepath.ToSlash(path), Text: text}, nil
}

// Limited reads a file of at most Max bytes.
func Limited(path string) (string, error) {
	text, err := UpTo(path, Max)
	return string(text), err
}

// UpTo reads a file of at most so many bytes.
func UpTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "read file: %s", Cause(err))
	}
	return limit(f, path, most)
}

// limit reads a file of at most so many bytes, and closes it.
func limit(f *os.File, path string, most int64) ([]byte, error) {
	defer f.Close() //nolint:errcheck // it is only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, api.Errorf(api.CodeInvalid, "read file: %s", Cause(err))
	case int64(len(text)) > most:
		return nil, api.Errorf(api.CodeInvalid, "%s: larger than %d MiB", path, most>>20)
	}
	return text, nil
}

func tooLarge(name string, size int) error {
	if size > Max {
		return api.Errorf(api.CodeInvalid, "%s: larger than %d MiB", name, Max>>20)
	}
	return nil
}

// Cause says "web.hcl: no such file" instead of "open web.hcl: no such file".
func Cause(err error) string {
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return wrong.Path + ": " + wrong.Err.Error()
	}
	return err.Error()
}

// Expand replaces directories by the files in them whose names end in suffix,
// in order of name. A link there may lead to a file of the directory only: who may add a
// file to a repository must not get at what else the machine has.
func Expand(paths []string, suffix, without string) ([]string, error) {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == "-" || (err == nil && !info.IsDir()) {
			out = append(out, path)
			continue
		}
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read file: %s", Cause(err))
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read directory: %s", Cause(err))
		}
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read directory: %s", Cause(err))
		}
		defer root.Close() //nolint:errcheck // it is only read
		found := false
		for _, entry := range entries {
			name := entry.Name()
			if entry.IsDir() || !strings.HasSuffix(name, suffix) || (without != "" && strings.HasSuffix(name, without)) {
				continue
			}
			if _, err := root.Stat(name); err != nil {
				return nil, api.Errorf(api.CodeInvalid, "read file: %s", Cause(within(path, err)))
			}
			found = true
			out = append(out, filepath.Join(path, name))
		}
		if !found {
			return nil, api.Errorf(api.CodeInvalid, "%s: the directory holds no *%s file", path, suffix)
		}
	}
	return out, nil
}

// WithFiles reads a patch or policy file with the files that it refers to, which lie
// beside it.
func WithFiles(path string, stdin io.Reader) (api.SourceFile, error) {
	file, err := Source(path, stdin)
	if err != nil {
		return file, err
	}
	if err := policies.CheckText(file.Name, file.Text); err != nil {
		return file, err
	}
	size := len(file.Text)
	for _, name := range policies.FilesWanted(file) {
		text, err := inDirectoryOf(path, name)
		if err != nil {
			wrong := api.AsError(err)
			wrong.Details = append(wrong.Details, fmt.Sprintf("%s reads it with file(%q)", file.Name, name))
			return file, wrong
		}
		if size += len(text); size > Max {
			return file, tooLarge(path+" with the files that it reads", size)
		}
		if err := policies.CheckText(name, text); err != nil {
			wrong := api.AsError(err)
			wrong.Details = append(wrong.Details, fmt.Sprintf("%s reads it with file(%q)", file.Name, name))
			return file, wrong
		}
		if file.Files == nil {
			file.Files = map[string]string{}
		}
		file.Files[name] = text
	}
	return file, nil
}

// inDirectoryOf reads a file in the directory of another one. A link may lead to a file of that
// directory only: who may add a file to a repository must not get at what else the
// machine has.
func inDirectoryOf(path, name string) (string, error) {
	dir := filepath.Dir(path)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", api.Errorf(api.CodeInvalid, "read directory: %s", Cause(err))
	}
	defer root.Close() //nolint:errcheck // it is only read
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return "", api.Errorf(api.CodeInvalid, "read file: %s", Cause(within(dir, err)))
	}
	text, err := limit(f, filepath.Join(dir, name), Max)
	return string(text), err
}

// within gives an error of a root the path that a person knows, and a cause that they
// understand: what the root itself refuses, rather than the system, is a link that leads
// out.
func within(dir string, err error) error {
	wrong, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	cause := wrong.Err
	if _, ok := errors.AsType[syscall.Errno](cause); !ok {
		cause = fmt.Errorf("a link must not lead out of the directory (%w)", cause)
	}
	return &fs.PathError{Op: wrong.Op, Path: filepath.Join(dir, wrong.Path), Err: cause}
}

// SameFile reports whether two paths are one file, be it there already, through a link,
// or not yet.
func SameFile(a, b string) bool {
	there, err := os.Stat(a)
	also, alsoErr := os.Stat(b)
	if err == nil && alsoErr == nil {
		return os.SameFile(there, also)
	}
	return whole(a) == whole(b)
}

// whole is a path from the root with the links of its folder followed, as far as there
// are any.
func whole(path string) string {
	folder := filepath.Dir(path)
	if followed, err := filepath.EvalSymlinks(folder); err == nil {
		folder = followed
	}
	if rooted, err := filepath.Abs(folder); err == nil {
		folder = rooted
	}
	return filepath.Join(folder, filepath.Base(path))
}

// Writable refuses a folder in which no file can be made, with the flag that names it.
func Writable(flag, folder string) error {
	f, err := os.CreateTemp(folder, ".oakum-*")
	if err != nil {
		return api.Errorf(api.CodeInvalid, "%s: create a file in %s: %s", flag, folder, Cause(errors.Unwrap(err)))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
