package mapper

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

func TestEnds_MatchAddressesRangesAndNames(t *testing.T) {
	t.Parallel()
	ends, err := ParseEnds([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "*.internal", "/system.slice/*"})
	must.NoError(t, err)
	for end, want := range map[string]bool{
		"10.1.2.3":               true,
		"10.1.2.3:443":           true,
		"[::ffff:10.1.2.3]:443":  true,
		"[2001:db8::1%eth0]:53":  true,
		"192.0.2.7:80":           true,
		"db.internal:5432":       true,
		"/system.slice/ntp":      true,
		"11.1.2.3":               false,
		"192.0.2.70":             false,
		"internal":               false,
		"db.internal.example.eu": false,
		"":                       false,
	} {
		must.Eq(t, want, ends.Match(end), must.Sprint(end))
	}
	must.False(t, Ends{}.Match("10.0.0.1"), must.Sprint("no patterns"))
}

func TestParseEnds_RefusesPatternsThatFitEverything(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"": "fits every end", "*": "fits every end", "*.*": "fits every end", "0.0.0.0/0": "fits every end", "::/0": "fits every end",
		"10.0.0.0/33": "no range of addresses", "10.0.0.0/": "no range of addresses",
	} {
		_, err := ParseEnds([]string{pattern})
		must.ErrorContains(t, err, want, must.Sprint(pattern))
		_, err = New(Options{Recorder: bare(), State: bare(), IgnoreEnds: []string{pattern}})
		must.ErrorContains(t, err, want)
	}
}

// TestMapper_LeavesASourceWholeAtKnownOutsideEnds: an end that is listed is not counted
// as unknown, one that is not listed is, and a service that is found behind a listed
// address keeps its edge.
func TestMapper_LeavesASourceWholeAtKnownOutsideEnds(t *testing.T) {
	t.Parallel()
	w := bare()
	raw := func(from, to string) graph.Flow {
		f := flow(from, to, 1000)
		f.Raw = true
		return f
	}
	w.mesh.Addresses = map[string]string{"10.0.0.1:80": "web", "10.0.0.2:80": "store"}
	w.flows = []graph.Flow{raw("10.0.0.1:80", "10.0.0.2:80"), raw("10.0.0.1:80", "10.9.9.9:443"), raw("10.0.0.1:80", "files.internal")}
	m := w.bearing(t, func(o *Options) { o.IgnoreEnds = []string{"10.0.0.0/8", "*.internal"} })
	w.round(t, m)
	must.Eq(t, "", w.state.sources[SourceTraffic].Partial)
	must.Eq(t, api.EdgeObservedUndeclared, w.edgeState("web", "store"))
	must.MapLen(t, 1, w.state.edges)
	w.flows = append(w.flows, raw("10.0.0.1:80", "198.51.100.1:443"))
	w.round(t, m)
	must.StrContains(t, w.state.sources[SourceTraffic].Partial, "1 of 4 flows have an end that no service is known for, such as 10.0.0.1:80 to 198.51.100.1:443")
}
