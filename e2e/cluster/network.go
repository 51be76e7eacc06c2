package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// host is the last part of the test's own address on the bridge.
const host = 254

// networksMax bounds the networks that one process has at a time.
const networksMax = 10

// NetworkOptions say what a network's members are like. The functions may be nil;
// they are given the number of a member, from 0.
type NetworkOptions struct {
	Members int
	Relay   bool                 // whether they reach each other by way of this process; see Delay
	Wrap    func(i int) []string // what a member's command line begins with
	Env     func(i int) []string // added to a member's environment
	DiskMiB int                  // of each member's own disk; 0 means none
}

// Network is a bridge with a namespace on each of its ports, for Oakum's servers to
// run in. Members are numbered from 0.
type Network struct {
	options NetworkOptions
	name    string // of the bridge, and what all other names begin with
	prefix  string // of the addresses: the first three parts
	size    int
	home    string // of the servers' processes
	disks   []*Disk
	relays  []*relay

	mu    sync.Mutex
	rules []rule
}

// rule drops frames that one member sends to another; percent is of all of them.
type rule struct {
	from, to int
	percent  uint32
}

// NewNetwork makes namespaces that reach each other and this process.
func NewNetwork(o NetworkOptions) (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("make network: network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("make network: install iproute2: %w", err)
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	prefix, err := freePrefix()
	if err != nil {
		return nil, err
	}
	n := &Network{options: o, prefix: prefix, size: o.Members}
	for i := range networksMax {
		n.name = fmt.Sprintf("oak%dc%d", os.Getpid(), i)
		if err = run("ip", "link", "add", n.name, "type", "bridge"); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make network: %w", err)
	}
	if err := n.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("make network: %w", err), n.Close())
	}
	return n, nil
}

func (n *Network) build() error {
	steps := [][]string{
		{"ip", "addr", "add", fmt.Sprintf("%s.%d/24", n.prefix, host), "dev", n.name},
		{"ip", "link", "set", n.name, "up"},
	}
	for i := range n.size {
		ns, port := n.namespace(i), n.port(i)
		steps = append(steps,
			[]string{"ip", "netns", "add", ns},
			[]string{"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns},
			[]string{"ip", "link", "set", port, "master", n.name, "up"},
			[]string{"ip", "-n", ns, "addr", "add", n.Address(i) + "/24", "dev", "eth0"},
			[]string{"ip", "-n", ns, "link", "set", "eth0", "up"},
			[]string{"ip", "-n", ns, "link", "set", "lo", "up"},
		)
	}
	for _, s := range steps {
		if err := run(s[0], s[1:]...); err != nil {
			return err
		}
	}
	return n.program()
}

// Address is that of a member.
func (n *Network) Address(i int) string { return fmt.Sprintf("%s.%d", n.prefix, i+1) }

// Host is the address of this process that the members reach.
func (n *Network) Host() string { return fmt.Sprintf("%s.%d", n.prefix, host) }

func (n *Network) namespace(i int) string { return fmt.Sprintf("%sn%d", n.name, i) }
func (n *Network) port(i int) string      { return fmt.Sprintf("%sv%d", n.name, i) }

// Cut drops what one member sends to another, and nothing of what comes back.
func (n *Network) Cut(from, to int) error {
	return n.add(rule{from, to, 100})
}

// Silence drops everything that a member sends to the others.
func (n *Network) Silence(i int) error { return n.add(n.pairs(i, true, false)...) }

// Deafen drops everything that the others send to a member.
func (n *Network) Deafen(i int) error { return n.add(n.pairs(i, false, true)...) }

// Isolate cuts members off from all others, but not from callers: both sides
// of a partition go on being asked.
func (n *Network) Isolate(members ...int) error {
	var rules []rule
	for i := range n.size {
		for j := range n.size {
			if slices.Contains(members, i) != slices.Contains(members, j) {
				rules = append(rules, rule{i, j, 100})
			}
		}
	}
	return n.add(rules...)
}

// Lose drops a share of the frames between all members, at random.
func (n *Network) Lose(percent uint32) error {
	var rules []rule
	for i := range n.size {
		for j := range n.size {
			if i != j {
				rules = append(rules, rule{i, j, percent})
			}
		}
	}
	return n.add(rules...)
}

// Link pulls a member's cable, or puts it back; callers lose it too.
func (n *Network) Link(i int, up bool) error {
	state := "down"
	if up {
		state = "up"
	}
	return run("ip", "link", "set", n.port(i), state)
}

// Heal takes every cut and loss away and puts every cable back.
func (n *Network) Heal() error {
	n.mu.Lock()
	n.rules = nil
	n.mu.Unlock()
	errs := []error{n.program()}
	for i := range n.size {
		errs = append(errs, n.Link(i, true))
	}
	return errors.Join(errs...)
}

func (n *Network) pairs(i int, from, to bool) []rule {
	var rules []rule
	for j := range n.size {
		if j == i {
			continue
		}
		if from {
			rules = append(rules, rule{i, j, 100})
		}
		if to {
			rules = append(rules, rule{j, i, 100})
		}
	}
	return rules
}

func (n *Network) add(rules ...rule) error {
	n.mu.Lock()
	n.rules = append(n.rules, rules...)
	n.mu.Unlock()
	return n.program()
}

// program gives the kernel the present rules, all in one transaction.
func (n *Network) program() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	kernel := &nftables.Conn{}
	table := kernel.AddTable(&nftables.Table{Family: nftables.TableFamilyBridge, Name: n.name})
	kernel.FlushTable(table)
	chain := kernel.AddChain(&nftables.Chain{
		Name: "cuts", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	for _, r := range n.rules {
		match := append(onPort(expr.MetaKeyIIFNAME, n.port(r.from)), onPort(expr.MetaKeyOIFNAME, n.port(r.to))...)
		if r.percent < 100 {
			match = append(match,
				&expr.Numgen{Register: 1, Modulus: 100, Type: unix.NFT_NG_RANDOM},
				&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
				&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(r.percent)},
			)
		}
		kernel.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, &expr.Verdict{Kind: expr.VerdictDrop})})
	}
	if err := kernel.Flush(); err != nil {
		return fmt.Errorf("set rules of bridge %s: %w", n.name, err)
	}
	return nil
}

// onPort matches frames by the name of the port that they come in or go out by.
func onPort(key expr.MetaKey, port string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, port)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name}}
}

// Close removes everything from the kernel, with the processes that still run
// in it.
func (n *Network) Close() error {
	var errs []error
	for _, r := range n.relays {
		errs = append(errs, r.close())
	}
	return errors.Join(append(errs, remove(n.name))...)
}

// remove takes a network away by its name; what is gone already is no error.
func remove(name string) error {
	var errs []error
	names, err := namespaces()
	errs = append(errs, err)
	for _, ns := range names {
		if !strings.HasPrefix(ns, name+"n") {
			continue
		}
		errs = append(errs, killInside(ns), run("ip", "netns", "del", ns), ungroup(ns))
	}
	links, err := net.Interfaces()
	errs = append(errs, err)
	for _, l := range links {
		// Ports go with their namespaces, but the kernel takes its time for that.
		if l.Name == name || strings.HasPrefix(l.Name, name+"v") {
			_ = run("ip", "link", "del", l.Name) // unless it went meanwhile
		}
	}
	kernel := &nftables.Conn{}
	tables, err := kernel.ListTablesOfFamily(nftables.TableFamilyBridge)
	errs = append(errs, err)
	for _, table := range tables {
		if table.Name == name {
			kernel.DelTable(table)
			errs = append(errs, kernel.Flush())
		}
	}
	return errors.Join(append(errs, unmountBelow(name))...)
}

func killInside(ns string) error {
	out, err := exec.Command("ip", "netns", "pids", ns).Output() //nolint:noctx // it is answered at once, and a cleanup is not given up
	if err != nil {
		return fmt.Errorf("list processes of %s: %w", ns, err)
	}
	for field := range strings.FieldsSeq(string(out)) {
		pid, err := strconv.Atoi(field)
		if err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may end by itself in between
		}
	}
	return nil
}

func namespaces() ([]string, error) {
	out, err := exec.Command("ip", "-json", "netns", "list").Output() //nolint:noctx // it is answered at once, and a cleanup is not given up
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return nil, nil
	}
	var list []struct{ Name string }
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	names := make([]string, len(list))
	for i, ns := range list {
		names[i] = ns.Name
	}
	return names, nil
}

// sweep removes the networks of processes that are gone.
func sweep() error {
	ours := regexp.MustCompile(`^(oak(\d+)c\d+)(?:[nv]\d+)?$`)
	names, err := namespaces()
	if err != nil {
		return err
	}
	links, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		names = append(names, l.Name)
	}
	done := map[string]bool{}
	var errs []error
	for _, name := range names {
		found := ours.FindStringSubmatch(name)
		if found == nil || done[found[1]] {
			continue
		}
		pid, err := strconv.Atoi(found[2])
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		done[found[1]] = true
		errs = append(errs, remove(found[1]))
	}
	return errors.Join(errs...)
}

// freePrefix finds a network of private addresses that nobody here uses.
func freePrefix() (string, error) {
	used, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list addresses: %w", err)
	}
	const tries = 100
	for range tries {
		prefix := fmt.Sprintf("10.%d.%d", 200+rand.IntN(50), rand.IntN(256))
		ip := net.ParseIP(prefix + ".1")
		free := true
		for _, a := range used {
			if block, ok := a.(*net.IPNet); ok && block.Contains(ip) {
				free = false
			}
		}
		if free {
			return prefix, nil
		}
	}
	return "", errors.New("make network: no free block of addresses")
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput() //nolint:noctx // it ends at once, and a cleanup is not given up
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
