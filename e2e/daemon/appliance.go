package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oakumhq/oakum/internal/appliance"
)

// Appliance is the one that the Makefile put beside the images of the example
// application. It is nil when there is none.
func Appliance(images string) (*appliance.Appliance, error) {
	a := &appliance.Appliance{Memory: appliance.DefaultMemory, Within: appliance.DefaultTimeout}
	for name, file := range map[string]*appliance.File{appliance.KernelFile: &a.Kernel, appliance.InitrdFile: &a.Initrd} {
		path := filepath.Join(images, "appliance", name)
		var err error
		*file, err = pinned(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

// pinned is a file with its checksum.
func pinned(path string) (appliance.File, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return appliance.File{}, fmt.Errorf("read appliance: %w", err)
	}
	sum := sha256.Sum256(content)
	return appliance.File{Source: path, Checksum: "sha256:" + hex.EncodeToString(sum[:])}, nil
}
