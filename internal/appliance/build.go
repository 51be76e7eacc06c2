package appliance

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cavaliergopher/cpio"

	"github.com/oakumhq/oakum/api"
)

// Names of the files that Build writes.
const (
	KernelFile = "vmlinuz"
	InitrdFile = "initrd"
)

// initScript is the first process of the appliance.
//
//go:embed init.sh
var initScript []byte

// Ingredients are what an appliance is made from: paths on this machine.
type Ingredients struct {
	Kernel  string // a bzImage
	Modules string // folder that holds the kernel's modules, itself or below it
	Busybox string // statically linked
}

// Built are the SHA-256 of an appliance's files, in hex.
type Built struct {
	Kernel string
	Initrd string
}

// Build makes an appliance and writes its two files into a folder, which it makes.
// The same ingredients give the same bytes.
func Build(from Ingredients, out string) (Built, error) {
	kernel, err := os.ReadFile(from.Kernel)
	if err != nil {
		return Built{}, fmt.Errorf("read kernel: %w", err)
	}
	// The header of a bzImage says HdrS at 0x202.
	if len(kernel) < 0x206 || string(kernel[0x202:0x206]) != "HdrS" {
		return Built{}, api.Errorf(api.CodeInvalid, "read kernel: %s is no bzImage", from.Kernel)
	}
	initrd, err := makeInitrd(from)
	if err != nil {
		return Built{}, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Built{}, fmt.Errorf("make folder of the appliance: %w", err)
	}
	if err := replace(filepath.Join(out, KernelFile), kernel); err != nil {
		return Built{}, err
	}
	if err := replace(filepath.Join(out, InitrdFile), initrd); err != nil {
		return Built{}, err
	}
	return Built{Kernel: digest(kernel), Initrd: digest(initrd)}, nil
}

// replace writes a file of the appliance in one step, since a machine may be
// reading the former one.
func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".part", content, 0o644); err != nil {
		return cmp.Or(os.Remove(path+".part"), fmt.Errorf("write appliance: %w", err))
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("write appliance: %w", err)
	}
	return nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// makeInitrd makes the initramfs: a gzip of a newc cpio archive.
func makeInitrd(from Ingredients) ([]byte, error) {
	busybox, err := readBusybox(from.Busybox)
	if err != nil {
		return nil, err
	}
	files := map[string]entry{
		"init":        {mode: cpio.TypeReg | 0o755, content: initScript},
		"bin/busybox": {mode: cpio.TypeReg | 0o755, content: busybox},
	}
	if err := addModules(files, from.Modules); err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression) // its header has no name and no time
	if err != nil {
		return nil, fmt.Errorf("pack initramfs: %w", err)
	}
	if err := cmp.Or(writeArchive(zip, files), zip.Close()); err != nil {
		return nil, fmt.Errorf("pack initramfs: %w", err)
	}
	return packed.Bytes(), nil
}

// readBusybox reads a busybox that needs no libraries.
func readBusybox(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("read busybox %s: %w", path, err)
	}
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, api.Errorf(api.CodeInvalid, "read busybox: %s is linked dynamically; the appliance has no libraries", path)
	}
	return content, nil
}

// addModules adds the modules, and for each use the order in which they are loaded.
func addModules(files map[string]entry, dir string) error {
	found, err := findModules(dir)
	if err != nil {
		return err
	}
	for use, names := range wanted() {
		order, err := found.order(names)
		if err != nil {
			return err
		}
		if len(order) == 0 {
			continue
		}
		files["lib/modules/"+use+".order"] = entry{mode: cpio.TypeReg | 0o644, content: []byte(strings.Join(order, "\n") + "\n")}
		for _, name := range order {
			files["lib/modules/"+name+".ko"] = entry{mode: cpio.TypeReg | 0o644, content: found.read[name].content}
		}
	}
	return nil
}

// entry is a file of the initramfs.
type entry struct {
	mode    cpio.FileMode
	content []byte
}

// writeArchive writes files and the folders above them, ordered by name, owned by
// root and without a time.
func writeArchive(zip *gzip.Writer, files map[string]entry) error {
	all := maps.Clone(files)
	for name := range files {
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			all[dir] = entry{mode: cpio.TypeDir | 0o755}
		}
	}
	archive := cpio.NewWriter(zip)
	for i, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		header := &cpio.Header{
			Name: name, Mode: e.mode, Size: int64(len(e.content)), ModTime: time.Unix(0, 0), Links: 1, Inode: int64(i + 1),
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := archive.Write(e.content); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return archive.Close()
}
