package config

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Audit is one device of the audit log.
type Audit struct {
	Kind        string // file, socket or syslog
	Path        string // of a file
	RotateBytes int    // of a file; 0 never rotates
	RotateKeep  int    // rotated files that are kept; 0 keeps all
	Address     string // of a socket: tcp://host:port or unix:///path
	Tag         string // of syslog
}

// The kinds of audit devices.
const (
	AuditFile   = "file"
	AuditSocket = "socket"
	AuditSyslog = "syslog"
)

// defaultRotate is 100 MiB: about 150,000 entries, which an editor still opens.
const defaultRotate = 100 << 20

type auditBlock struct {
	Kind        string         `hcl:"kind,label"`
	Path        *hcl.Attribute `hcl:"path,optional"`
	RotateBytes *hcl.Attribute `hcl:"rotate_bytes,optional"`
	RotateKeep  *hcl.Attribute `hcl:"rotate_keep,optional"`
	Address     *hcl.Attribute `hcl:"address,optional"`
	Tag         *hcl.Attribute `hcl:"tag,optional"`
	Range       hcl.Range      `hcl:",def_range"`
}

// audit adds a device: there may be several of a kind.
func (l *loader) audit(b auditBlock) {
	l.begins(b.Range)
	d := Audit{Kind: b.Kind}
	if d.Kind == AuditFile {
		d.RotateBytes = defaultRotate
	}
	l.str(b.Path, &d.Path)
	l.integer(b.RotateBytes, &d.RotateBytes)
	l.integer(b.RotateKeep, &d.RotateKeep)
	l.str(b.Address, &d.Address)
	l.str(b.Tag, &d.Tag)
	l.checkDevice(d)
	if d.Kind == AuditSyslog {
		d.Tag = cmp.Or(d.Tag, "oakum")
	}
	l.cfg.Audit = append(l.cfg.Audit, d)
}

// leastRotate keeps a mistake in the unit from making a file of each entry.
const leastRotate = 64 << 10

// checkDevice is called for each block: a later one of the same kind has the same name.
func (l *loader) checkDevice(d Audit) {
	path := "audit." + d.Kind
	switch d.Kind {
	case AuditFile:
		l.absolute(path, d.Path, "path, the absolute path of the log")
		if d.RotateBytes != 0 && d.RotateBytes < leastRotate {
			l.problem(path+".rotate_bytes", "want 0 (never) or at least %d, have %d", leastRotate, d.RotateBytes)
		}
		if d.RotateKeep < 0 {
			l.problem(path+".rotate_keep", "want 0 (all) or more, have %d", d.RotateKeep)
		}
	case AuditSocket:
		if network, address := d.Socket(); address == "" || network != "tcp" && network != "unix" {
			l.problem(path, "want address, such as tcp://127.0.0.1:9000 or unix:///run/audit.sock, have %q", d.Address)
		}
	case AuditSyslog:
	default:
		l.problem(path, "want file, socket or syslog, have %q", d.Kind)
	}
	for _, field := range []struct {
		name, kind string
		set        bool
	}{
		{"path", AuditFile, d.Path != ""},
		{"rotate_keep", AuditFile, d.RotateKeep != 0},
		{"rotate_bytes", AuditFile, d.RotateBytes != 0},
		{"address", AuditSocket, d.Address != ""},
		{"tag", AuditSyslog, d.Tag != ""},
	} {
		if field.set && field.kind != d.Kind {
			l.problem(path+"."+field.name, "want it in a block %q only", "audit "+field.kind)
		}
	}
}

// Socket is the network and the address of a socket.
func (d Audit) Socket() (network, address string) {
	network, address, _ = strings.Cut(d.Address, "://")
	return network, address
}

// checkAudit refuses two devices that are one.
func (l *loader) checkAudit() {
	seen := map[string]bool{}
	for _, d := range l.cfg.Audit {
		one := fmt.Sprintf("%s %s%s%s", d.Kind, d.Path, d.Address, d.Tag)
		if seen[one] {
			l.problem("audit."+d.Kind, "want each device once, have %s twice", one)
		}
		seen[one] = true
	}
}
