package cluster

import (
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// proposalTimeout is how long a server of the proposal may be silent before the
// others give the proposal up. By then a server that saw everybody agree has long
// bootstrapped.
const proposalTimeout = 30 * time.Second

// proposal is the set of servers that this one would bootstrap a cluster with, by
// name and with this one among them. While it stands, this server announces this set
// and no other. A cluster is bootstrapped only by servers that all propose the same
// set, so two different sets that share a server can't both become a cluster.
type proposal struct {
	members []member  // nil: none yet
	missing time.Time // since when one of them is silent; zero when none is
}

// next is the proposal after the peers have answered. A set is proposed when exactly
// as many servers are there as are expected. It is given up when one of them was
// silent for proposalTimeout.
func (p proposal) next(self member, expect int, peers []status, now time.Time) proposal {
	if p.members != nil {
		silent := slices.ContainsFunc(p.members, func(m member) bool { return m.ID != self.ID && answer(peers, m) == nil })
		switch {
		case !silent:
			p.missing = time.Time{}
		case p.missing.IsZero():
			p.missing = now
		case now.Sub(p.missing) > proposalTimeout:
			p = proposal{}
		}
	}
	if p.members == nil && len(peers)+1 == expect {
		p.members = []member{{ID: self.ID, Address: self.Address}}
		for _, peer := range peers {
			p.members = append(p.members, member{ID: peer.ID, Address: peer.Address})
		}
		slices.SortFunc(p.members, func(a, b member) int { return strings.Compare(a.ID, b.ID) })
	}
	return p
}

// agreed is nil when every server of the proposal is there and proposes the same
// with the same number of servers; else it says what is missing.
func (p proposal) agreed(self member, expect int, peers []status) error {
	if len(peers)+1 > expect {
		return api.Errorf(api.CodeConflict, "%d servers answer and none belongs to a cluster, but bootstrap_expect is %d", len(peers)+1, expect)
	}
	if p.members == nil {
		return api.Errorf(api.CodeUnavailable, "%d of the %d servers that bootstrap the cluster are there", len(peers)+1, expect)
	}
	for _, m := range p.members {
		if m.ID == self.ID {
			continue
		}
		peer := answer(peers, m)
		switch {
		case peer == nil:
			return api.Errorf(api.CodeUnavailable, "server %s at %s, with which the cluster is to be bootstrapped, is silent", m.ID, m.Address)
		case peer.Expect != expect:
			return api.Errorf(api.CodeConflict, "bootstrap_expect is %d here and %d at server %s", expect, peer.Expect, m.ID)
		case !slices.Equal(peer.Proposal, p.members):
			return api.Errorf(api.CodeUnavailable, "server %s has not proposed the same servers yet", m.ID)
		}
	}
	return nil
}

// answer is what a server of a proposal answered; nil when it is silent.
func answer(peers []status, m member) *status {
	i := slices.IndexFunc(peers, func(p status) bool { return p.ID == m.ID && p.Address == m.Address })
	if i < 0 {
		return nil
	}
	return &peers[i]
}
