package manifests

import (
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// isNPM reports whether a file is the manifest of a package that npm, yarn or pnpm has
// installed: NAME/package.json or @SCOPE/NAME/package.json in a folder node_modules.
func isNPM(name string) bool {
	if path.Base(name) != "package.json" {
		return false
	}
	folder := path.Dir(name)
	above := path.Dir(folder)
	if strings.HasPrefix(path.Base(above), "@") {
		above = path.Dir(above)
	}
	return path.Base(above) == "node_modules" && !strings.HasPrefix(path.Base(folder), ".")
}

func (r *reader) packageJSON(name string, file *os.File) error {
	content, ok, err := r.small(npm, name, file)
	if err != nil || !ok {
		return err
	}
	var manifest struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		r.skip(npm, name, "it is no JSON that a manifest of npm can be")
		return nil //nolint:nilerr // the file is told as one that could not be read
	}
	scope, plain, scoped := strings.Cut(manifest.Name, "/")
	if !scoped {
		scope, plain = "", manifest.Name
	}
	r.add(npm, name, scope, plain, manifest.Version)
	return nil
}

// isLock reports whether a file names packages that were to be installed.
func isLock(name string) bool {
	locks := []string{"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", ".pnp.cjs", ".pnp.js"}
	return slices.Contains(locks, path.Base(name)) && !strings.Contains("/"+name, "/node_modules/")
}

// lock notes that packages lie elsewhere than in node_modules, such as in one file with the
// program itself. What a lock names is not told: nobody knows what of it is there.
func (r *reader) lock(name string, _ *os.File) error {
	folder, err := fs.Stat(r.root.FS(), path.Join(path.Dir(name), "node_modules"))
	if err != nil || !folder.IsDir() || strings.HasPrefix(path.Base(name), ".pnp.") {
		r.skip(npm, name, "the packages that it names lie elsewhere than in a folder node_modules beside it")
	}
	return nil
}
