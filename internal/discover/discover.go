// Package discover finds the addresses of other servers: they are given as
// addresses, as DNS names, or by a provider such as Consul. It looks them up again
// at each call, since the names stand for other addresses while a cluster grows.
//
// It decides nothing. The caller finds out which of the servers belong to its
// cluster.
package discover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// lookupTimeout bounds one question to DNS or to a provider. A resolver tries its
	// second server after five seconds. A server that bootstraps a cluster must not
	// decide from answers that are older than some seconds.
	lookupTimeout = 5 * time.Second
	// maxServers bounds the addresses of one call. A cluster has at most seven
	// servers, so a name with many more addresses is a mistake.
	maxServers = 64
)

// Server is a server that was found.
type Server struct {
	Address string // host:port
	// Member says that the provider knows the server as a member of a cluster,
	// whether the server answers or not.
	Member bool
}

// Provider lists the servers that it knows. Args are the key=value pairs of the
// entry, without the provider's name.
type Provider func(ctx context.Context, args map[string]string) ([]Server, error)

// Resolver makes DNS lookups; *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Options says how names become addresses.
type Options struct {
	Port      int                 // of names and addresses that give none
	Resolver  Resolver            // nil means the system's
	Providers map[string]Provider // by name
}

// Finder goes through a list of entries.
type Finder struct {
	opt     Options
	entries []entry
}

// entry is one entry of the list, read.
type entry struct {
	text     string
	provider string
	args     map[string]string
	host     string
	port     int
	srv      bool
}

// providerKeys are the keys that each provider knows.
func providerKeys(provider string) []string {
	if provider == "consul" {
		return []string{"service", "datacenter", "tag"}
	}
	return nil
}

// Check says what is wrong with an entry, if anything.
func Check(text string) error {
	_, err := parse(text, 1)
	return err
}

// New reads the entries: host, host:port, [address], _service._proto.name for
// SRV records, or "provider=NAME key=value ...".
func New(entries []string, opt Options) (*Finder, error) {
	if opt.Resolver == nil {
		opt.Resolver = net.DefaultResolver
	}
	f := &Finder{opt: opt}
	for _, text := range entries {
		e, err := parse(text, opt.Port)
		if err != nil {
			return nil, err
		}
		if e.provider != "" && opt.Providers[e.provider] == nil {
			return nil, api.Errorf(api.CodeInvalid, "%q: provider %s is not configured", text, e.provider)
		}
		f.entries = append(f.entries, e)
	}
	return f, nil
}

func parse(text string, port int) (entry, error) {
	e := entry{text: text, port: port}
	if strings.TrimSpace(text) == "" {
		return e, api.Errorf(api.CodeInvalid, "an entry is empty: want an address, a name or a provider")
	}
	if strings.HasPrefix(text, "provider=") {
		return e.withProvider()
	}
	if strings.ContainsAny(text, " \t=") {
		return e, api.Errorf(api.CodeInvalid, "%q: want host, host:port, _service._tcp.name, or provider=NAME key=value ...", text)
	}
	e.host = strings.Trim(text, "[]")
	if host, given, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.ParseUint(given, 10, 16)
		if err != nil || n == 0 {
			return e, api.Errorf(api.CodeInvalid, "%q: want a port between 1 and 65535, have %q", text, given)
		}
		e.host, e.port = host, int(n)
	}
	e.srv = strings.HasPrefix(e.host, "_")
	if e.host == "" {
		return e, api.Errorf(api.CodeInvalid, "%q: want a host", text)
	}
	return e, nil
}

// withProvider reads "provider=NAME key=value ...".
func (e entry) withProvider() (entry, error) {
	e.args = map[string]string{}
	for word := range strings.FieldsSeq(e.text) {
		key, value, found := strings.Cut(word, "=")
		if !found || value == "" {
			return e, api.Errorf(api.CodeInvalid, "%q: want key=value, have %q", e.text, word)
		}
		if _, twice := e.args[key]; twice {
			return e, api.Errorf(api.CodeInvalid, "%q: %s is given twice", e.text, key)
		}
		e.args[key] = value
	}
	e.provider = e.args["provider"]
	delete(e.args, "provider")
	known := providerKeys(e.provider)
	if known == nil {
		return e, api.Errorf(api.CodeInvalid, "%q: want provider=consul, have %q", e.text, e.provider)
	}
	for _, key := range slices.Sorted(maps.Keys(e.args)) {
		if !slices.Contains(known, key) {
			return e, api.Errorf(api.CodeInvalid, "%q: provider %s knows %s, not %q", e.text, e.provider, strings.Join(known, ", "), key)
		}
	}
	return e, nil
}

// Find looks up every entry at once and returns each address once, sorted. With an
// error it returns the addresses of the other entries; the failed entries may have
// further ones. A name that does not exist is no error, since it may get addresses
// later.
func (f *Finder) Find(ctx context.Context) ([]Server, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found := make([][]Server, len(f.entries))
	errs := make([]error, len(f.entries))
	var asking sync.WaitGroup
	for i, e := range f.entries {
		asking.Go(func() { found[i], errs[i] = f.resolve(ctx, e) })
	}
	asking.Wait()
	var out []Server
	for _, s := range slices.Concat(found...) {
		if i := slices.IndexFunc(out, func(o Server) bool { return o.Address == s.Address }); i >= 0 {
			out[i].Member = out[i].Member || s.Member
			continue
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Server) int { return strings.Compare(a.Address, b.Address) })
	if len(out) > maxServers {
		errs = append(errs, fmt.Errorf("%d servers were found, at most %d are asked", len(out), maxServers))
		out = out[:maxServers]
	}
	return out, errors.Join(errs...)
}

func (f *Finder) resolve(ctx context.Context, e entry) ([]Server, error) {
	switch {
	case e.provider != "":
		found, err := f.opt.Providers[e.provider](ctx, e.args)
		if err != nil {
			return nil, fmt.Errorf("ask %s for servers: %w", e.provider, err)
		}
		return found, nil
	case e.srv:
		return f.records(ctx, e)
	}
	return f.hosts(ctx, e.host, e.port)
}

// records follows SRV records.
func (f *Finder) records(ctx context.Context, e entry) ([]Server, error) {
	_, records, err := f.opt.Resolver.LookupSRV(ctx, "", "", e.host)
	if err != nil {
		return nil, absent(err)
	}
	var out []Server
	var errs []error
	for _, r := range records {
		found, err := f.hosts(ctx, strings.TrimSuffix(r.Target, "."), int(r.Port))
		out = append(out, found...)
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// hosts returns every address of a name.
func (f *Finder) hosts(ctx context.Context, host string, port int) ([]Server, error) {
	addresses := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		if addresses, err = f.opt.Resolver.LookupHost(ctx, host); err != nil {
			return nil, absent(err)
		}
	}
	var out []Server
	for _, a := range addresses {
		out = append(out, Server{Address: net.JoinHostPort(a, strconv.Itoa(port))})
	}
	return out, nil
}

// absent is nil for a name that does not exist.
func absent(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil
	}
	return err
}
