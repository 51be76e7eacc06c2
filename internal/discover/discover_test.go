package discover_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/discover"
)

// names is a model of DNS.
type names struct {
	hosts   map[string][]string
	records map[string][]*net.SRV
	err     error
}

func (n *names) LookupHost(_ context.Context, host string) ([]string, error) {
	if n.err != nil {
		return nil, n.err
	}
	found, ok := n.hosts[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, nil
}

func (n *names) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	found, ok := n.records[name]
	if !ok {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, found, nil
}

func addresses(found []discover.Server) []string {
	var out []string
	for _, s := range found {
		out = append(out, s.Address)
	}
	return out
}

func TestEntriesBecomeAddresses(t *testing.T) {
	t.Parallel()
	dns := &names{
		hosts: map[string][]string{"oakum.example": {"10.0.0.2", "10.0.0.1", "fd00::1"}, "one.example": {"10.0.0.7"}},
		records: map[string][]*net.SRV{"_oakum._tcp.example": {
			{Target: "one.example.", Port: 5001}, {Target: "10.0.0.9.", Port: 5002},
		}},
	}
	finder, err := discover.New([]string{
		"10.0.0.1", "10.0.0.5:99", "[fd00::2]", "oakum.example", "one.example:77", "_oakum._tcp.example", "nobody.example",
	}, discover.Options{Port: 4741, Resolver: dns})
	must.NoError(t, err)
	found, err := finder.Find(t.Context())
	must.NoError(t, err)
	must.Eq(t, []string{
		"10.0.0.1:4741", "10.0.0.2:4741", "10.0.0.5:99", "10.0.0.7:5001", "10.0.0.7:77", "10.0.0.9:5002",
		"[fd00::1]:4741", "[fd00::2]:4741",
	}, addresses(found))
}

func TestNamesAreAskedAnewEachTime(t *testing.T) {
	t.Parallel()
	dns := &names{hosts: map[string][]string{"oakum.example": {"10.0.0.1"}}}
	finder, err := discover.New([]string{"oakum.example"}, discover.Options{Port: 1, Resolver: dns})
	must.NoError(t, err)
	found, err := finder.Find(t.Context())
	must.NoError(t, err)
	must.Eq(t, []string{"10.0.0.1:1"}, addresses(found))
	dns.hosts["oakum.example"] = []string{"10.0.0.2", "10.0.0.3"}
	found, err = finder.Find(t.Context())
	must.NoError(t, err)
	must.Eq(t, []string{"10.0.0.2:1", "10.0.0.3:1"}, addresses(found))
}

func TestAFailureIsToldBesideWhatWasFound(t *testing.T) {
	t.Parallel()
	dns := &names{err: errors.New("resolver is away")}
	finder, err := discover.New([]string{"oakum.example", "10.0.0.1"}, discover.Options{Port: 1, Resolver: dns})
	must.NoError(t, err)
	found, err := finder.Find(t.Context())
	must.ErrorContains(t, err, "resolver is away")
	must.Eq(t, []string{"10.0.0.1:1"}, addresses(found))
}

func TestAProviderIsGivenItsArguments(t *testing.T) {
	t.Parallel()
	var asked map[string]string
	provider := func(_ context.Context, args map[string]string) ([]discover.Server, error) {
		asked = args
		return []discover.Server{{Address: "10.0.0.1:4741", Member: true}}, nil
	}
	finder, err := discover.New([]string{"provider=consul service=oakum tag=blue", "10.0.0.1"},
		discover.Options{Port: 4741, Providers: map[string]discover.Provider{"consul": provider}})
	must.NoError(t, err)
	found, err := finder.Find(t.Context())
	must.NoError(t, err)
	must.Eq(t, map[string]string{"service": "oakum", "tag": "blue"}, asked)
	must.Eq(t, []discover.Server{{Address: "10.0.0.1:4741", Member: true}}, found)
}

func TestWrongEntriesAreRefusedInWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              "an entry is empty",
		"10.0.0.1 10.0.0.2":             "want host, host:port",
		"host:seventy":                  "want a port between 1 and 65535",
		"host:0":                        "want a port between 1 and 65535",
		":4741":                         "want a host",
		"provider=aws":                  "want provider=consul",
		"provider=consul colour=red":    "knows service, datacenter, tag, not \"colour\"",
		"provider=consul tag":           "want key=value",
		"provider=consul tag=a tag=b":   "tag is given twice",
		"provider=consul service=":      "want key=value",
		"provider= service=oakum":       "want key=value",
		"service=oakum provider=consul": "want host, host:port",
	} {
		must.ErrorContains(t, discover.Check(text), want, must.Sprint(text))
	}
	_, err := discover.New([]string{"provider=consul"}, discover.Options{})
	must.ErrorContains(t, err, "provider consul is not configured")
}

func FuzzCheck(f *testing.F) {
	for _, text := range []string{"10.0.0.1:4741", "[::1]", "_oakum._tcp.example", "provider=consul service=oakum", "a=b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		finder, err := discover.New([]string{text}, discover.Options{
			Port: 1, Resolver: &names{}, Providers: map[string]discover.Provider{
				"consul": func(context.Context, map[string]string) ([]discover.Server, error) { return nil, nil },
			},
		})
		must.Eq(t, discover.Check(text) == nil, err == nil)
		if err != nil {
			return
		}
		_, err = finder.Find(t.Context())
		must.NoError(t, err)
	})
}
