package workload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// formatFile marks a folder of data with its format.
const formatFile = "shop-format"

// OpenData brings the data of a service up to its format, as a migration does. It is an
// error when the data has a newer format: it was written by a version that this one does
// not know. An empty folder name is a service without data.
func OpenData(folder string, format int) error {
	if folder == "" {
		return nil
	}
	mark := filepath.Join(folder, formatFile)
	text, err := os.ReadFile(mark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read the format of the data: %w", err)
	default:
		has, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("read the format of the data in %s: %w", mark, err)
		}
		if has > format {
			return fmt.Errorf("the data in %s has format %d, and this version reads %d at most", folder, has, format)
		}
	}
	return writeFormat(mark, format)
}

// writeFormat returns when the mark is on the disk: a machine may be cut off at any time.
func writeFormat(mark string, format int) error {
	file, err := os.Create(mark)
	if err != nil {
		return fmt.Errorf("write the format of the data: %w", err)
	}
	_, err = fmt.Fprintln(file, format)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the format of the data: %w", err)
	}
	return nil
}
