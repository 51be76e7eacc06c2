package input

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/oakumhq/oakum/api"
)

// Replace writes a file beside path and puts it there when it is complete.
func Replace(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return api.Errorf(api.CodeInvalid, "create file: %s", Cause(err))
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when all went well
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
