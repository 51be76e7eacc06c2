package advisory

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ossf/osv-schema/bindings/go/osvschema"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

const (
	// DocumentMax bounds an advisory document, in bytes. The largest of Red Hat's have
	// about 10 MiB.
	DocumentMax = 32 << 20
	// rangesMax bounds the ranges of an advisory.
	rangesMax = 100_000
)

// ParseOSV reads an OSV document of schema version 1, as JSON. source is where it is
// from, and is only kept. Errors have code invalid.
func ParseOSV(source string, document []byte) (Advisory, error) {
	a, err := parseOSV(document)
	if err != nil {
		return Advisory{}, api.Errorf(api.CodeInvalid, "read advisory %s: %v", source, err)
	}
	a.Source = source
	return a, nil
}

// plain is what is wrong by protojson, without its prefix: that ends in one of two kinds of
// space, so that nobody compares it.
func plain(err error) string {
	return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
}

func parseOSV(document []byte) (Advisory, error) {
	if len(document) > DocumentMax {
		return Advisory{}, fmt.Errorf("the document is larger than %d MiB", DocumentMax>>20)
	}
	v := &osvschema.Vulnerability{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(document, v); err != nil {
		return Advisory{}, fmt.Errorf("it is no OSV document: %s", plain(err))
	}
	switch {
	case v.GetId() == "":
		return Advisory{}, fmt.Errorf("it is no OSV document: it has no id")
	case v.GetSchemaVersion() != "" && !strings.HasPrefix(v.GetSchemaVersion(), "1."):
		return Advisory{}, fmt.Errorf("it is of OSV schema version %q; want 1", v.GetSchemaVersion())
	}
	a := Advisory{Advisory: api.Advisory{ID: v.GetId(), Aliases: v.GetAliases(), Upstream: v.GetUpstream(), Summary: v.GetSummary()}}
	if v.GetWithdrawn() != nil {
		a.Withdrawn = v.GetWithdrawn().AsTime()
	}
	if v.GetPublished() != nil {
		a.Published = v.GetPublished().AsTime()
	}
	var names *string // read once, for a document may have many events
	strange := func() string {
		if names == nil {
			names = new(strangeEvents(document))
		}
		return *names
	}
	vectors := vectorsOf(v.GetSeverity())
	for _, of := range v.GetAffected() {
		vectors = append(vectors, vectorsOf(of.GetSeverity())...)
		if of.GetPackage().GetName() == "" {
			continue // a repository, of which no package is named
		}
		a.ranges = append(a.ranges, rangesOf(of, strange)...)
		if len(a.ranges) > rangesMax {
			return Advisory{}, fmt.Errorf("it has more than %d ranges", rangesMax)
		}
	}
	a.rate(vectors, v.GetDatabaseSpecific().GetFields()["severity"].GetStringValue())
	return a, nil
}

func vectorsOf(list []*osvschema.Severity) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.GetScore())
	}
	return out
}

// rangesOf reads the versions of one package that have the fault. strange names the
// events of the document that the schema here does not have.
func rangesOf(of *osvschema.Affected, strange func() string) []faultRange {
	ecosystem, release, err := inventory.ParseEcosystem(of.GetPackage().GetEcosystem())
	if err != nil {
		return []faultRange{{unknown: err.Error()}}
	}
	base := faultRange{Affected: api.Affected{Ecosystem: ecosystem, Release: release, Package: of.GetPackage().GetName()}}
	switch ecosystem {
	case "deb", "apk":
		base.Source, base.Package = base.Package, ""
	case "rpm":
		base.either = true
	}
	var out []faultRange
	commits := false
	for _, r := range of.GetRanges() {
		switch r.GetType() {
		case osvschema.Range_ECOSYSTEM, osvschema.Range_SEMVER:
			out = append(out, base.intervals(r.GetEvents(), strange)...)
		default:
			commits = true
		}
	}
	if len(of.GetVersions()) > 0 {
		listed := base
		listed.Versions = of.GetVersions()
		out = append(out, listed)
	}
	if len(out) == 0 {
		base.unknown = "the advisory names no versions of it"
		if commits {
			base.unknown = "the advisory names commits of it, and no versions"
		}
		out = append(out, base)
	}
	return out
}

// strangeEvents lists the kinds of events in a document that the schema here does not
// have, for they get lost when it is read.
func strangeEvents(document []byte) string {
	var raw struct {
		Affected []struct {
			Ranges []struct {
				Events []map[string]json.RawMessage `json:"events"`
			} `json:"ranges"`
		} `json:"affected"`
	}
	if err := json.Unmarshal(document, &raw); err != nil {
		return "" // it was read before, so that only the names are missing
	}
	known := (&osvschema.Event{}).ProtoReflect().Descriptor().Fields()
	names := map[string]bool{}
	for _, a := range raw.Affected {
		for _, r := range a.Ranges {
			for _, e := range r.Events {
				for name := range e {
					if known.ByTextName(name) == nil && known.ByJSONName(name) == nil {
						names[strconv.Quote(name)] = true
					}
				}
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// limitOf names an event that bounds a search, and says nothing of a fault by itself.
func limitOf(e *osvschema.Event) string {
	if e.GetLimit() == "" {
		return ""
	}
	return fmt.Sprintf("limit %q", e.GetLimit())
}

// intervals pairs each version that introduced the fault with the first end after it.
// Events may be in any order.
func (r faultRange) intervals(events []*osvschema.Event, strange func() string) []faultRange {
	var from []string
	var ends []faultRange
	for _, e := range events {
		end := r
		end.Below, end.Last = e.GetFixed(), e.GetLastAffected()
		switch {
		case e.GetIntroduced() != "":
			from = append(from, e.GetIntroduced())
		case end.Below != "" || end.Last != "":
			ends = append(ends, end)
		default:
			r.unknown = "the advisory has an event that is not known: " + cmp.Or(limitOf(e), strange(), "it is empty")
			return []faultRange{r}
		}
	}
	var wrong error
	order := func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == "0":
			return -1
		case b == "0":
			return 1
		}
		n, err := inventory.Compare(r.Ecosystem, a, b)
		if err != nil {
			wrong = err
		}
		return n
	}
	slices.SortStableFunc(ends, func(a, b faultRange) int { return order(cmp.Or(a.Below, a.Last), cmp.Or(b.Below, b.Last)) })
	var out []faultRange
	for _, begin := range from {
		one := r
		for _, end := range ends {
			if n := order(cmp.Or(end.Below, end.Last), begin); n > 0 || (n == 0 && end.Last != "") {
				one = end
				break
			}
		}
		if begin != "0" {
			one.From = begin
		}
		out = append(out, one)
	}
	if wrong != nil || len(from) == 0 {
		r.unknown = "the advisory's versions have no order"
		if wrong != nil {
			r.unknown += ": " + wrong.Error()
		}
		return []faultRange{r}
	}
	return out
}
