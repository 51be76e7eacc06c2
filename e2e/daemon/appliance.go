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
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read appliance: %w", err)
		}
		sum := sha256.Sum256(content)
		*file = appliance.File{Source: path, Checksum: "sha256:" + hex.EncodeToString(sum[:])}
	}
	return a, nil
}
