package stack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// offsetStep keeps stacks apart: no two default ports are equal modulo
	// 1000, so offsets that are multiples of it never collide.
	offsetStep = 1000
	// offsetMax keeps the fixed ports below the ranges that tasks get.
	offsetMax = 10000
	// taskPortBase starts the ports that tasks get; with offsetMax it ends at
	// 31000, below the kernel's ephemeral range.
	taskPortBase = 20000
	// clientsMax keeps the clients' HTTP ports below Oakum's own 4740.
	clientsMax = 80

	modulePath = "github.com/oakumhq/oakum"
)

// Options says where and how large a stack is.
type Options struct {
	Dir        string    `json:"dir"`         // everything of this stack; made when missing
	BinDir     string    `json:"bin_dir"`     // default: .stack/bin of the repository
	PortOffset int       `json:"port_offset"` // added to every default port; a multiple of 1000, or AnyOffset
	Clients    int       `json:"clients"`     // Nomad clients, default 1
	ImagePaths []string  `json:"image_paths"` // more folders that QEMU tasks may take images from
	Containers bool      `json:"containers"`  // the clients run containers and programs in namespaces too, by a Docker of the stack's own
	Bound      bool      `json:"bound"`       // it is taken down when this process ends, however that comes about
	Log        io.Writer `json:"-"`           // progress for a person; nil is silence
}

// Ports are the fixed ports of one stack.
type Ports struct {
	ConsulHTTP, ConsulServer, ConsulSerf int
	VaultHTTP, VaultCluster              int
	StatsdUDP, StatsdHTTP                int
	Prometheus                           int
	NomadHTTP, NomadRPC, NomadSerf       int
	NomadClientHTTP                      int // of client 1; the next ones follow
}

// PortsAt returns the ports of a stack with that offset.
func PortsAt(offset int) Ports {
	return Ports{
		ConsulHTTP: 8500 + offset, ConsulServer: 8300 + offset, ConsulSerf: 8301 + offset,
		VaultHTTP: 8200 + offset, VaultCluster: 8201 + offset,
		StatsdUDP: 8125 + offset, StatsdHTTP: 9112 + offset,
		Prometheus: 9090 + offset,
		NomadHTTP:  4646 + offset, NomadRPC: 4647 + offset, NomadSerf: 4648 + offset,
		NomadClientHTTP: 4656 + offset,
	}
}

// tcp lists every TCP port that the stack listens on.
func (p Ports) tcp(clients int) []int {
	all := []int{
		p.ConsulHTTP, p.ConsulServer, p.ConsulSerf, p.VaultHTTP, p.VaultCluster,
		p.StatsdHTTP, p.Prometheus, p.NomadHTTP, p.NomadRPC, p.NomadSerf,
	}
	for i := range clients {
		all = append(all, p.NomadClientHTTP+i)
	}
	return all
}

// complete fills the defaults in and checks the rest.
func (o Options) complete() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("read stack options: Dir is empty")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("read stack options: %w", err)
	}
	o.Dir = dir
	if o.PortOffset != AnyOffset && (o.PortOffset < 0 || o.PortOffset > offsetMax || o.PortOffset%offsetStep != 0) {
		return o, fmt.Errorf("read stack options: port offset %d: want a multiple of %d from 0 to %d", o.PortOffset, offsetStep, offsetMax)
	}
	if o.Clients == 0 {
		o.Clients = 1
	}
	if o.Clients < 0 || o.Clients > clientsMax {
		return o, fmt.Errorf("read stack options: %d clients: want 1 to %d", o.Clients, clientsMax)
	}
	if o.BinDir == "" {
		root, err := RepositoryRoot()
		if err != nil {
			return o, fmt.Errorf("read stack options: BinDir is empty: %w", err)
		}
		o.BinDir = filepath.Join(root, ".stack", "bin")
	}
	if o.BinDir, err = filepath.Abs(o.BinDir); err != nil {
		return o, fmt.Errorf("read stack options: %w", err)
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o, nil
}

// images is where the Makefile puts the images of the example application.
func (o Options) images() string { return filepath.Join(filepath.Dir(o.BinDir), "images") }

// RepositoryRoot finds the folder of the product's go.mod at or above the
// working directory.
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository root: %w", err)
	}
	for {
		if module(filepath.Join(dir, "go.mod")) == modulePath {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find repository root: no go.mod of %s at or above the working directory", modulePath)
		}
		dir = parent
	}
}

func module(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close() //nolint:errcheck // it is only read
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if name, found := strings.CutPrefix(lines.Text(), "module "); found {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// FindBinary returns the path of one of the stack's programs, which make stack
// has put into binDir.
func FindBinary(binDir, name string) (string, error) {
	path := filepath.Join(binDir, name)
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return "", fmt.Errorf("find %s: %s is missing: run make stack", name, path)
	}
	return path, nil
}

// AnyOffset as Options.PortOffset lets Up choose free ports.
const AnyOffset = -1

// FreeOffset returns the highest offset whose fixed ports nobody listens on.
// Another stack may take it before Up does; AnyOffset has no such gap.
func FreeOffset(clients int) (int, error) {
	offset, unlock, err := reserve(AnyOffset, max(clients, 1))
	if err != nil {
		return 0, err
	}
	unlock()
	return offset, nil
}

// reserve keeps other stacks off an offset until unlock, that is until the
// stack itself listens on its ports. AnyOffset counts down, because people
// take the low ones by hand.
func reserve(offset, clients int) (got int, unlock func(), err error) {
	if offset != AnyOffset {
		unlock, err = lockOffset(offset)
		if err != nil {
			return 0, nil, err
		}
		if port := busyPort(PortsAt(offset), clients); port != 0 {
			unlock()
			return 0, nil, fmt.Errorf("port %d of offset %d is taken: take the other stack down (stack down -dir=DIR), end the program that listens there, or start this one with another -offset", port, offset)
		}
		return offset, unlock, nil
	}
	for offset := offsetMax; offset >= 0; offset -= offsetStep {
		if _, unlock, err := reserve(offset, clients); err == nil {
			return offset, unlock, nil
		}
	}
	return 0, nil, fmt.Errorf("find free ports: every offset from 0 to %d is taken: take a stack down that nobody needs (stack down -dir=DIR), or end the programs that listen there", offsetMax)
}

// lockOffset takes the machine-wide lock of one offset, or fails at once. The
// kernel drops it when this process ends.
func lockOffset(offset int) (unlock func(), err error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("oakum-stack-%d.lock", offset))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("lock ports: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close() // what matters is who has the lock
		return nil, fmt.Errorf("lock ports: another stack starts with offset %d: %w", offset, err)
	}
	return func() { _ = file.Close() }, nil
}

// busyPort returns the first port of the stack that is taken, or 0.
func busyPort(ports Ports, clients int) int {
	for _, port := range ports.tcp(clients) {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // an address is bound at once or not at all
		if err != nil {
			return port
		}
		_ = listener.Close() // it was free, and nobody connected
	}
	conn, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", ports.StatsdUDP)) //nolint:noctx // as above
	if err != nil {
		return ports.StatsdUDP
	}
	_ = conn.Close()
	return 0
}
