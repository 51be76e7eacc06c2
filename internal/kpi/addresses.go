package kpi

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// addressesPlaceholder stands in a query for a regular expression of the addresses of
	// the allocations that are asked for.
	addressesPlaceholder = "$addresses"
	// allocationsPlaceholder stands for one of their IDs.
	allocationsPlaceholder = "$allocations"
	// anyAllocation is the regular expression of an allocation's ID.
	anyAllocation = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
	// nothing is a regular expression that no address and no ID matches.
	nothing = "-"
)

// Addresses knows where allocations are scraped.
type Addresses interface {
	// Addresses are those (host:port) at which one allocation alone answers, and which it
	// is. They may be some seconds old; of the named allocations it looks again for those
	// that it does not know.
	Addresses(ctx context.Context, ids []string) (map[string]string, error)
}

// ByAddress lets the reader take an address in the place of an allocation's ID. It is
// called before the reader is used.
func (r *Reader) ByAddress(a Addresses) *Reader {
	r.addresses = a
	return r
}

// addressed fills in the addresses of some allocations, or of all when there are none, and
// returns which allocation each is of: nil where the query asks for none.
func (r *Reader) addressed(ctx context.Context, query string, ids []string) (string, map[string]string, error) {
	if !strings.Contains(query, addressesPlaceholder) {
		return query, nil, nil
	}
	known := map[string]string{}
	if r.addresses != nil {
		var err error
		if known, err = r.addresses.Addresses(ctx, ids); err != nil {
			return "", nil, unavailable("addresses of allocations", err)
		}
	}
	pattern := ".+"
	if len(ids) > 0 {
		var some []string
		for _, address := range slices.Sorted(maps.Keys(known)) {
			if slices.Contains(ids, known[address]) {
				some = append(some, regexp.QuoteMeta(address))
			}
		}
		pattern = orNothing(some)
	}
	return strings.ReplaceAll(query, addressesPlaceholder, pattern), known, nil
}

// orNothing is a regular expression of some, as it stands in a text of PromQL.
func orNothing(some []string) string {
	if len(some) == 0 {
		return nothing
	}
	quoted := strconv.Quote(strings.Join(some, "|"))
	return quoted[1 : len(quoted)-1]
}

// named gives each series the ID of the allocation whose address its label has, and drops
// those of an address that is nobody's. An allocation that other series name by its ID
// keeps these alone, since both may show the same requests.
func (r *Reader) named(series []Series, known map[string]string) []Series {
	if known == nil {
		return series
	}
	label := r.queries.Label
	byID := map[string]bool{}
	for _, s := range series {
		if value := s.Labels[label]; !strings.Contains(value, ":") {
			byID[value] = true
		}
	}
	var out []Series
	for _, s := range series {
		if value := s.Labels[label]; strings.Contains(value, ":") {
			id := known[value]
			if id == "" || byID[id] {
				continue
			}
			s.Labels = maps.Clone(s.Labels)
			s.Labels[label] = id
		}
		out = append(out, s)
	}
	return out
}
