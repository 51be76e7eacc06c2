package qemu

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Formats of disks.
const (
	FormatRaw   = "raw"
	FormatQcow2 = "qcow2"

	// FormatMeta is the key of the job's metadata that declares the format of the
	// machine's image, where its name does not.
	FormatMeta = "oakum_image_format"
)

// DiskName is the name of the twin's own disk: a qcow2 laid over the image.
const DiskName = "oakum-twin.qcow2"

// What a node does with a file of the host before the machine starts. The words are
// those of prepare.sh.
const (
	OpDisk     = "disk"     // the machine's disk: lay the twin's own over it, and compute its digest
	OpOverlay  = "overlay"  // a further disk: lay one of the twin's own over it
	OpData     = "data"     // a disk that outlives the machine: lay the twin's own over it, or make an empty one
	OpEmpty    = "empty"    // as data, but always empty
	OpCarried  = "carried"  // as data, but the machine that this one replaces has left it here
	OpReadOnly = "readonly" // a further disk that nobody writes to
	OpFile     = "file"     // a plain file, such as a kernel
	OpFirmware = "firmware" // a plain file that may also lie where packages put firmware
	OpCopy     = "copy"     // as firmware, but the machine writes to a copy
)

// File is a file of the host that a twin's machine opens. The machine is given
// the name that the node made for it, once the node has checked the file.
type File struct {
	Op     string
	Name   string // of what the node makes, in the twin's folder
	Format string // raw or qcow2; empty when the name of the file says it
	Path   string // as the job has it
}

// dataDisk begins the names of the twin's data disks. They alone are kept when another
// machine takes over what the twin leaves.
const dataDisk = "data-"

// DataName is the name of a data disk: the same in the patched version as in the former
// one, whatever else the patch changes of the arguments.
func DataName(file string) string {
	sum := sha256.Sum256([]byte(file))
	return dataDisk + hex.EncodeToString(sum[:6])
}

// Folder is where the node puts what the machine opens.
const Folder = "${NOMAD_ALLOC_DIR}/data"

// diskCaches are the properties of a drive that change nothing but its speed, and
// how it fails.
func diskCaches() properties {
	out := properties{
		"cache": `none|writeback|writethrough|unsafe|directsync`, "aio": `threads|native|io_uring`,
		"discard": `ignore|off|unmap|on`, "detect-zeroes": `off|on|unmap`, "werror": `ignore|stop|report|enospc`, "rerror": `ignore|stop|report`,
	}
	for _, limit := range []string{"bps", "iops"} {
		for _, of := range []string{"", "_rd", "_wr", "_max", "_rd_max", "_wr_max"} {
			out[limit+of] = anyNumber
		}
		for _, of := range []string{"total", "read", "write", "total-max", "read-max", "write-max"} {
			out["throttling."+limit+"-"+of] = anyNumber
		}
	}
	return out
}

// drive is a further disk of the machine.
func (r *reader) drive(a argument) error {
	o, err := a.split("")
	if err != nil {
		return err
	}
	allowed := diskCaches().and(properties{
		"file": `.*`, "format": `raw|qcow2`, "if": `ide|scsi|virtio|none|pflash`, "media": `disk|cdrom`, "readonly": anyOnOff, "snapshot": anyOnOff,
		"id": anyID, "index": anyNumber, "bus": anyNumber, "unit": anyNumber,
	})
	if err := a.check(o, allowed); err != nil {
		return err
	}
	f := File{Path: o.get("file"), Format: o.get("format")}
	readonly := isOn(o.get("readonly"))
	switch {
	case o.get("media") == "cdrom" && f.Path == "":
		r.keep(a.flag, o.write(""))
		return nil
	case o.get("if") == "pflash" && readonly:
		f.Op = OpFirmware
	case o.get("if") == "pflash":
		f.Op = OpCopy
	case readonly, o.get("media") == "cdrom":
		f.Op, readonly = OpReadOnly, true
	case r.snapshot, isOn(o.get("snapshot")):
		f.Op = OpOverlay
	default:
		f.Op = written(f.Path)
	}
	if o.get("media") == "cdrom" && f.Format == "" {
		f.Format = FormatRaw // a disc has no other format
	}
	kept := o.without("file", "format", "readonly", "snapshot")
	return r.openDrive(a, f, readonly, kept)
}

// written is what becomes of a disk that the machine writes to. One that lies in its
// allocation goes with it.
func written(file string) string {
	if OriginOf(file) == FromNode {
		return OpData
	}
	return OpOverlay
}

func isOn(value string) bool { return slices.Contains([]string{"on", "yes", "true"}, value) }

// openDrive gives the machine a drive on what the node makes of a file.
func (r *reader) openDrive(a argument, f File, readonly bool, rest options) error {
	flash := f.Op == OpFirmware || f.Op == OpCopy
	switch {
	case flash && cmp.Or(f.Format, FormatRaw) != FormatRaw:
		return a.refuse("flash memory of format %s is not allowed in a twin (allowed: raw)", f.Format)
	case flash:
		f.Format = FormatRaw
	default:
		f.Format = cmp.Or(f.Format, formatByName(f.Path))
	}
	if f.Format == "" {
		return a.refuse("the format of %s is not declared; add format=raw or format=qcow2", f.Path)
	}
	if err := r.host(a, &f); err != nil {
		return err
	}
	if f.Op == OpOverlay || f.Op == OpData {
		f.Format = FormatQcow2
	}
	o := options{{"file", Folder + "/" + f.Name}, {"format", f.Format}}
	if readonly {
		o = append(o, option{"readonly", "on"})
	}
	r.keep("-drive", append(o, rest...).write(""))
	return nil
}

// host notes a file that the node must check, and names what it makes of it.
func (r *reader) host(a argument, f *File) error {
	if why := badPath(f.Path); why != "" {
		return a.refuse("file %q is not allowed in a twin: %s", f.Path, why)
	}
	f.Name = fmt.Sprintf("oakum-file-%d", len(r.out.Files))
	if f.Op == OpData {
		f.Name = DataName(f.Path)
	}
	r.out.Files = append(r.out.Files, *f)
	return nil
}

// badPath says why a file of the host can't be named so.
func badPath(file string) string {
	folder, _, _ := strings.Cut(file, "/")
	switch {
	case file == "":
		return "it is empty"
	case strings.ContainsAny(file, "\n\x00"):
		return "it has a line break"
	case strings.Contains(strings.ReplaceAll(folder, "${", ""), ":"):
		return "it is no path, but a protocol"
	case !strings.HasPrefix(file, "/") && !strings.HasPrefix(file, "$") && strings.HasPrefix(path.Clean(file), ".."):
		return "it leaves the task's folder"
	}
	return ""
}

// blockdev is a further disk of the machine, in the form of one node.
func (r *reader) blockdev(a argument) error {
	o, err := a.split("driver")
	if err != nil {
		return err
	}
	allowed := properties{
		"driver": `raw|qcow2`, "node-name": anyID, "read-only": anyOnOff, "discard": `ignore|unmap`, "detect-zeroes": `off|on|unmap`,
		"cache.direct": anyOnOff, "cache.no-flush": anyOnOff, "file.driver": `file`, "file.filename": `.*`, "file.aio": `threads|native|io_uring`,
	}
	if err := a.check(o, allowed); err != nil {
		return err
	}
	if o.get("driver") == "" || o.get("file.driver") == "" || !isOn(o.get("read-only")) {
		return a.refuse("a node is allowed in a twin only as driver=raw|qcow2,read-only=on,file.driver=file,file.filename=...")
	}
	f := File{Op: OpReadOnly, Path: o.get("file.filename"), Format: o.get("driver")}
	if err := r.host(a, &f); err != nil {
		return err
	}
	kept := append(options{{"driver", f.Format}, {"read-only", "on"}, {"file.driver", "file"}, {"file.filename", Folder + "/" + f.Name}},
		o.without("driver", "read-only", "file.driver", "file.filename")...)
	r.keep(a.flag, kept.write(""))
	return nil
}

// cdrom is a disc.
func (r *reader) cdrom(a argument) error {
	return r.openDrive(a, File{Op: OpReadOnly, Path: a.value, Format: FormatRaw}, true, options{{"media", "cdrom"}, {"index", "2"}})
}

// disk is a further disk in the old form, which the machine writes to.
func (r *reader) disk(a argument) error {
	op := OpOverlay
	if !r.snapshot {
		op = written(a.value)
	}
	index := strings.Index("abcd", a.flag[len(a.flag)-1:])
	return r.openDrive(a, File{Op: op, Path: a.value}, false, options{{"index", fmt.Sprint(index)}, {"media", "disk"}})
}

// pflash is flash memory of the machine: firmware, and the variables that it keeps.
func (r *reader) pflash(a argument) error {
	return r.openDrive(a, File{Op: OpCopy, Path: a.value, Format: FormatRaw}, false, options{{"if", "pflash"}})
}

// plainFile is a kernel or an initial file system.
func (r *reader) plainFile(a argument) error { return r.plain(a, OpFile) }

// firmware is a BIOS.
func (r *reader) firmware(a argument) error { return r.plain(a, OpFirmware) }

func (r *reader) plain(a argument, op string) error {
	f := File{Op: op, Path: a.value, Format: FormatRaw}
	if err := r.host(a, &f); err != nil {
		return err
	}
	r.keep(a.flag, Folder+"/"+f.Name)
	return nil
}
