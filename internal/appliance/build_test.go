package appliance

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/shoenig/test/must"
	"github.com/ulikunitz/xz"
)

// moduleFile is an ELF file with a section .modinfo, as a kernel module has it.
func moduleFile(t *testing.T, depends string) []byte {
	t.Helper()
	info := "license=GPL\x00depends=" + depends + "\x00"
	names := "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	put := func(v any) { must.NoError(t, binary.Write(&b, binary.LittleEndian, v)) }
	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2,
		Shoff: uint64(64 + len(info) + len(names)),
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	put(header)
	b.WriteString(info + names)
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: 64, Size: uint64(len(info)), Addralign: 1})
	put(elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(64 + len(info)), Size: uint64(len(names)), Addralign: 1})
	return b.Bytes()
}

// ingredients are files that Build takes. The kernel has xfs as a module, which needs
// another one, and ext4 built in.
func ingredients(t *testing.T) Ingredients {
	t.Helper()
	dir := t.TempDir()
	kernel := make([]byte, 1024)
	copy(kernel[0x202:], "HdrS")
	busybox := moduleFile(t, "") // any ELF file that names no loader
	var packed bytes.Buffer
	w, err := xz.NewWriter(&packed)
	must.NoError(t, err)
	_, err = w.Write(moduleFile(t, ""))
	must.NoError(t, err)
	must.NoError(t, w.Close())
	for name, content := range map[string][]byte{
		"vmlinuz": kernel, "busybox": busybox,
		"modules/fs/xfs.ko":              moduleFile(t, "libcrc32c"),
		"modules/lib/libcrc32c.ko.xz":    packed.Bytes(),
		"modules/drivers/virtio_blk.ko":  moduleFile(t, "virtio,virtio-ring"),
		"modules/drivers/virtio_ring.ko": moduleFile(t, ""),
		"modules/drivers/virtio.ko":      moduleFile(t, "virtio_ring"),
		"modules/sound/beep.ko":          moduleFile(t, ""),
	} {
		path := filepath.Join(dir, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.NoError(t, os.WriteFile(path, content, 0o600))
	}
	return Ingredients{Kernel: filepath.Join(dir, "vmlinuz"), Modules: filepath.Join(dir, "modules"), Busybox: filepath.Join(dir, "busybox")}
}

// unpacked are the files of an initramfs.
func unpacked(t *testing.T, path string) map[string][]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	must.NoError(t, err)
	zip, err := gzip.NewReader(bytes.NewReader(content))
	must.NoError(t, err)
	out := map[string][]byte{}
	archive := cpio.NewReader(zip)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		must.NoError(t, err)
		must.EqOp(t, 0, header.ModTime.Unix())
		must.EqOp(t, 0, header.Uid)
		content, err := io.ReadAll(archive)
		must.NoError(t, err)
		out[header.Name] = content
	}
}

func TestBuild_MakesTheSameBytesOfTheSameFiles(t *testing.T) {
	from, out := ingredients(t), t.TempDir()
	first, err := Build(from, filepath.Join(out, "a"))
	must.NoError(t, err)
	second, err := Build(from, filepath.Join(out, "b"))
	must.NoError(t, err)
	must.Eq(t, first, second)
	initrd, err := os.ReadFile(filepath.Join(out, "a", InitrdFile))
	must.NoError(t, err)
	must.EqOp(t, first.Initrd, digest(initrd))
	kernel, err := os.ReadFile(filepath.Join(out, "a", KernelFile))
	must.NoError(t, err)
	must.EqOp(t, first.Kernel, digest(kernel))
	left, err := filepath.Glob(filepath.Join(out, "a", "*.part"))
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}

func TestBuild_LoadsAModuleAfterWhatItNeeds(t *testing.T) {
	from, out := ingredients(t), t.TempDir()
	_, err := Build(from, out)
	must.NoError(t, err)
	files := unpacked(t, filepath.Join(out, InitrdFile))
	must.EqOp(t, "libcrc32c\nxfs\n", string(files["lib/modules/xfs.order"]))
	must.EqOp(t, "virtio_ring\nvirtio\nvirtio_blk\n", string(files["lib/modules/machine.order"]))
	must.Eq(t, moduleFile(t, ""), files["lib/modules/libcrc32c.ko"], must.Sprint("unpacked"))
	must.Eq(t, initScript, files["init"])
	must.MapNotContainsKey(t, files, "lib/modules/beep.ko")
	must.MapNotContainsKey(t, files, "lib/modules/ext4.order", must.Sprint("it is built in"))
	must.MapContainsKey(t, files, "lib/modules", must.Sprint("a folder stands before its files"))
}

func TestBuild_RefusesWhatCantStart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Ingredients)
		want   string
	}{
		"no kernel":         {func(i *Ingredients) { i.Kernel = i.Busybox }, "is no bzImage"},
		"no such kernel":    {func(i *Ingredients) { i.Kernel += "x" }, "no such file"},
		"no modules":        {func(i *Ingredients) { i.Modules = filepath.Join(i.Modules, "fs", "none") }, "no such file"},
		"a folder of other": {func(i *Ingredients) { i.Modules = t.TempDir() }, "has none (.ko or .ko.xz)"},
		"no busybox":        {func(i *Ingredients) { i.Busybox = i.Kernel }, "read busybox"},
		"damaged module": {func(i *Ingredients) {
			must.NoError(t, os.WriteFile(filepath.Join(i.Modules, "fs", "xfs.ko"), []byte("x"), 0o600))
		}, "read kernel module"},
		"modules that need each other": {func(i *Ingredients) {
			must.NoError(t, os.WriteFile(filepath.Join(i.Modules, "lib", "libcrc32c.ko"), moduleFile(t, "xfs"), 0o600))
			must.NoError(t, os.Remove(filepath.Join(i.Modules, "lib", "libcrc32c.ko.xz")))
		}, "depends on itself by way of"},
	} {
		t.Run(name, func(t *testing.T) {
			from := ingredients(t)
			c.change(&from)
			_, err := Build(from, t.TempDir())
			must.ErrorContains(t, err, c.want)
		})
	}
}

func TestBuild_RefusesABusyboxThatNeedsLibraries(t *testing.T) {
	from := ingredients(t)
	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	var b bytes.Buffer
	must.NoError(t, binary.Write(&b, binary.LittleEndian, header))
	must.NoError(t, binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_INTERP)}))
	must.NoError(t, os.WriteFile(from.Busybox, b.Bytes(), 0o600))
	_, err := Build(from, t.TempDir())
	must.ErrorContains(t, err, "is linked dynamically")
}

func TestFile_Check(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0a", 32)
	for source, want := range map[string]string{
		"https://files.example/vmlinuz": "",
		"/opt/oakum/vmlinuz":            "",
		"":                              "want a source",
		"vmlinuz":                       "neither a URL nor an absolute path",
		"s3://bucket/vmlinuz":           "Nomad fetches http and https here",
		"/opt/${NOMAD_META_x}":          "no URL and no path",
	} {
		err := File{Source: source, Checksum: sum}.Check()
		if want == "" {
			must.NoError(t, err)
		} else {
			must.ErrorContains(t, err, want)
		}
	}
	must.ErrorContains(t, File{Source: "/a", Checksum: strings.ToUpper(sum)}.Check(), "checksum")
}
