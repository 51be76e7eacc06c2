package appliance

import (
	"encoding/hex"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Defaults of an appliance.
const (
	// DefaultMemory lets apt read the lists of Debian's packages.
	DefaultMemory = 512
	// DefaultTimeout is long for a script that installs packages without hardware
	// acceleration.
	DefaultTimeout = 10 * time.Minute
)

// LeastMemory is the least memory in which the kernel and the initramfs start, MiB.
const LeastMemory = 128

// Appliance says where Nomad's clients have an appliance from, and what its machine
// gets.
type Appliance struct {
	Kernel File
	Initrd File
	// Reader is oakum itself, statically linked, which reads manifests in the machine.
	// Without a source, nobody does.
	Reader File
	Memory int           // MiB
	Within time.Duration // how long the machine may run
}

// File is a file of an appliance.
type File struct {
	Source   string // http or https URL, or an absolute path on the clients
	Checksum string // "sha256:" and 64 hex digits
}

// Remote reports whether Nomad fetches the file.
func (f File) Remote() bool { return strings.Contains(f.Source, "://") }

// SHA256 is the checksum without its kind.
func (f File) SHA256() string { return strings.TrimPrefix(f.Checksum, "sha256:") }

// Check says what is wrong with a file.
func (f File) Check() error {
	if f.Source == "" {
		return api.Errorf(api.CodeInvalid, "want a source: a URL, or an absolute path on the clients")
	}
	u, err := url.Parse(f.Source)
	switch {
	case err != nil || strings.ContainsAny(f.Source, "$\x00\n"):
		return api.Errorf(api.CodeInvalid, "source %q is no URL and no path", f.Source)
	case f.Remote() && u.Scheme != "http" && u.Scheme != "https":
		return api.Errorf(api.CodeInvalid, "source %q: Nomad fetches http and https here", f.Source)
	case !f.Remote() && !filepath.IsAbs(f.Source):
		return api.Errorf(api.CodeInvalid, "source %q is neither a URL nor an absolute path", f.Source)
	}
	return CheckChecksum(f.Checksum)
}

// CheckChecksum says what is wrong with a checksum. The only kind is "sha256:" and
// 64 lower-case hex digits.
func CheckChecksum(sum string) error {
	digits, ok := strings.CutPrefix(sum, "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != 32 || digits != strings.ToLower(digits) {
		return api.Errorf(api.CodeInvalid, `checksum %q is not "sha256:" and 64 lower-case hexadecimal digits`, sum)
	}
	return nil
}
