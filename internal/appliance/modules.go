package appliance

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"
)

// wanted names the modules that each use needs, beside what they depend on. The
// keys are names of file systems as blkid prints them, and "machine" for what the
// appliance always loads. A kernel may have any of them built in.
func wanted() map[string][]string {
	return map[string][]string{
		"machine":  {"virtio_pci", "virtio_blk"},
		"ext4":     {"ext4"},
		"xfs":      {"xfs"},
		"btrfs":    {"xxhash_generic", "blake2b_generic", "btrfs"},
		"vfat":     {"nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8", "vfat"},
		"iso9660":  {"isofs"},
		"squashfs": {"squashfs"},
	}
}

// module is one kernel module.
type module struct {
	name    string
	content []byte   // of its ELF file
	depends []string // names
}

// modules are the modules of a kernel, by name.
type modules struct {
	paths map[string]string
	read  map[string]module
}

// findModules looks for kernel modules in a folder and below it.
func findModules(dir string) (*modules, error) {
	m := &modules{paths: map[string]string{}, read: map[string]module{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file := strings.TrimSuffix(d.Name(), ".xz")
		if name, ok := strings.CutSuffix(file, ".ko"); ok {
			m.paths[plain(name)] = path
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find kernel modules: %w", err)
	}
	if len(m.paths) == 0 {
		return nil, fmt.Errorf("find kernel modules: %s has none (.ko or .ko.xz)", dir)
	}
	return m, nil
}

// plain is a module's name as dependencies name it. A file may have hyphens where
// they have underscores.
func plain(name string) string { return strings.ReplaceAll(name, "-", "_") }

// order lists a module after all that it depends on. A module that is not there is
// built into the kernel.
func (m *modules) order(names []string) ([]string, error) {
	var out []string
	var visit func(name string, above []string) error
	visit = func(name string, above []string) error {
		if _, ok := m.paths[name]; !ok || slices.Contains(out, name) {
			return nil
		}
		if slices.Contains(above, name) {
			return fmt.Errorf("order kernel modules: %s depends on itself by way of %s", name, strings.Join(above, ", "))
		}
		mod, err := m.open(name)
		if err != nil {
			return err
		}
		for _, d := range mod.depends {
			if err := visit(d, append(above, name)); err != nil {
				return err
			}
		}
		out = append(out, name)
		return nil
	}
	for _, name := range names {
		if err := visit(plain(name), nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// open reads a module, and in its .modinfo section what it depends on.
func (m *modules) open(name string) (module, error) {
	if known, ok := m.read[name]; ok {
		return known, nil
	}
	content, err := readModule(m.paths[name])
	if err != nil {
		return module{}, err
	}
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return module{}, fmt.Errorf("read kernel module %s: %w", m.paths[name], err)
	}
	section := file.Section(".modinfo")
	if section == nil {
		return module{}, fmt.Errorf("read kernel module %s: it has no section .modinfo", m.paths[name])
	}
	info, err := section.Data()
	if err != nil {
		return module{}, fmt.Errorf("read kernel module %s: %w", m.paths[name], err)
	}
	mod := module{name: name, content: content}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok {
			for d := range strings.SplitSeq(list, ",") {
				if d != "" {
					mod.depends = append(mod.depends, plain(d))
				}
			}
		}
	}
	m.read[name] = mod
	return mod, nil
}

// readModule reads a module's file and unpacks it.
func readModule(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read kernel module: %w", err)
	}
	if !strings.HasSuffix(path, ".xz") {
		return content, nil
	}
	r, err := xz.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("unpack kernel module %s: %w", path, err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("unpack kernel module %s: %w", path, err)
	}
	return out.Bytes(), nil
}
