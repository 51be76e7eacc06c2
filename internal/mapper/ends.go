package mapper

import (
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Ends are patterns of addresses and names outside of the application. Traffic to
// or from them has no service at that end.
type Ends struct {
	ranges []netip.Prefix
	names  []*regexp.Regexp
}

// ParseEnds reads patterns: an address, a range of addresses such as 10.0.0.0/8,
// or a name in which * stands for any text. It refuses a pattern that matches
// every end, since no source would ever be partial then.
func ParseEnds(patterns []string) (Ends, error) {
	var e Ends
	for _, text := range patterns {
		address, _, ranged := strings.Cut(text, "/")
		addr, notAddress := netip.ParseAddr(address)
		prefix, notRange := netip.ParsePrefix(text)
		switch {
		case strings.Trim(text, "*. ") == "" || (notRange == nil && prefix.Bits() == 0):
			return Ends{}, api.Errorf(api.CodeInvalid, "%q fits every end; want an address, a range such as 10.0.0.0/8, or a name such as *.example.com", text)
		case notRange == nil:
			e.ranges = append(e.ranges, prefix)
		case notAddress == nil && ranged:
			return Ends{}, api.Errorf(api.CodeInvalid, "%q is no range of addresses; want one such as 10.0.0.0/8", text)
		case notAddress == nil:
			e.ranges = append(e.ranges, netip.PrefixFrom(addr, addr.BitLen()))
		default:
			name := "^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$"
			e.names = append(e.names, regexp.MustCompile(name)) // quoted, so it compiles
		}
	}
	return e, nil
}

// Match reports whether an end, with or without a port, matches a pattern.
func (e Ends) Match(end string) bool {
	host, _, err := net.SplitHostPort(end)
	if err != nil {
		host = end
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap().WithZone("")
		for _, r := range e.ranges {
			if r.Contains(addr) {
				return true
			}
		}
	}
	for _, n := range e.names {
		if n.MatchString(host) || n.MatchString(end) {
			return true
		}
	}
	return false
}
