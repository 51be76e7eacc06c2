package feed

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

// ranking is a file that says of faults how they are exploited.
type ranking[T any] struct {
	path  string
	parse func(source string, document []byte) (map[string]T, error)

	size     int64
	modified time.Time
	problem  string
	known    map[string]T // of the last content that could be read; never changed
}

// look reads the file where it has changed, and says why it can't be read.
func (r *ranking[T]) look() string {
	if r.path == "" {
		return ""
	}
	info, err := os.Stat(r.path)
	if err != nil {
		r.modified = time.Time{}
		return r.path + ": " + cause(err)
	}
	if info.Size() == r.size && info.ModTime().Equal(r.modified) {
		return r.problem
	}
	r.size, r.modified, r.problem = info.Size(), info.ModTime(), ""
	text, err := upTo(r.path, advisory.DocumentMax)
	if err == nil {
		var next map[string]T
		if next, err = r.parse(filepath.Base(r.path), text); err == nil {
			r.known = next
			return ""
		}
	}
	r.problem = r.path + ": " + api.AsError(err).Message
	return r.problem
}

// upTo reads a file of at most so many bytes.
func upTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%s", cause(err))
	}
	defer f.Close() //nolint:errcheck // it is only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, api.Errorf(api.CodeInvalid, "%s", cause(err))
	case int64(len(text)) > most:
		return nil, api.Errorf(api.CodeInvalid, "it is larger than %d MiB", most>>20)
	}
	return text, nil
}

// cause is what went wrong with a file, without its path.
func cause(err error) string {
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return wrong.Err.Error()
	}
	return err.Error()
}
