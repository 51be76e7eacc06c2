package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// fileMax is the most that is read of one file with everything that it refers to, such
// as a policy with a recorded workload. The API takes twice as much.
const fileMax = 6 << 20

// readSource reads an HCL file under the name that was typed, so that
// diagnostics name what the person knows. "-" is standard input.
func (e *env) readSource(path string) (api.SourceFile, error) {
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(e.Stdin, fileMax+1))
		if err != nil {
			return api.SourceFile{}, api.Errorf(api.CodeInvalid, "read standard input: %v", err)
		}
		return api.SourceFile{Name: "stdin.hcl", Text: string(text)}, tooLarge("standard input", len(text))
	}
	text, err := readLimited(path)
	if err != nil {
		return api.SourceFile{}, err
	}
	return api.SourceFile{Name: filepath.ToSlash(path), Text: text}, nil
}

func readLimited(path string) (string, error) {
	text, err := readUpTo(path, fileMax)
	return string(text), err
}

// readUpTo reads a file of at most so many bytes.
func readUpTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "read file: %s", cause(err))
	}
	defer f.Close() //nolint:errcheck // it is only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, api.Errorf(api.CodeInvalid, "read file: %s", cause(err))
	case int64(len(text)) > most:
		return nil, api.Errorf(api.CodeInvalid, "%s: larger than %d MiB", path, most>>20)
	}
	return text, nil
}

func tooLarge(name string, size int) error {
	if size > fileMax {
		return api.Errorf(api.CodeInvalid, "%s: larger than %d MiB", name, fileMax>>20)
	}
	return nil
}

// cause says "web.hcl: no such file" instead of "open web.hcl: no such file".
func cause(err error) string {
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return wrong.Path + ": " + wrong.Err.Error()
	}
	return err.Error()
}

// expand replaces directories by the files in them whose names end in suffix,
// in order of name.
func expand(paths []string, suffix, without string) ([]string, error) {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == "-" || (err == nil && !info.IsDir()) {
			out = append(out, path)
			continue
		}
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read file: %s", cause(err))
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read directory: %s", cause(err))
		}
		found := false
		for _, entry := range entries {
			name := entry.Name()
			if entry.IsDir() || !strings.HasSuffix(name, suffix) || (without != "" && strings.HasSuffix(name, without)) {
				continue
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
