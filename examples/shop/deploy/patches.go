package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// imagesInPatches stands for the folder of the images in the example patches.
// A patch names its image by an absolute path on the Nomad clients, which
// differs from one checkout to the next.
const imagesInPatches = `"/images/`

// RenderPatches writes the example patches of the repository into dir with the
// real folder of the images in them, and returns their paths by patch name.
func RenderPatches(env Env, repository, dir string) (map[string]string, error) {
	sources, err := filepath.Glob(filepath.Join(repository, "examples", "patches", "*.hcl"))
	if err != nil || len(sources) == 0 {
		return nil, fmt.Errorf("find example patches in %s: %w", repository, os.ErrNotExist)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("render patches: %w", err)
	}
	rendered := map[string]string{}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			return nil, fmt.Errorf("render patches: %w", err)
		}
		path := filepath.Join(dir, filepath.Base(source))
		real := strings.ReplaceAll(string(text), imagesInPatches, `"`+strings.TrimSuffix(env.Images, "/")+"/")
		if err := os.WriteFile(path, []byte(real), 0o644); err != nil {
			return nil, fmt.Errorf("render patches: %w", err)
		}
		rendered[strings.TrimSuffix(filepath.Base(source), ".hcl")] = path
	}
	return rendered, nil
}
