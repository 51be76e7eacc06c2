package cluster

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
)

func at(id string) member { return member{ID: id, Address: id + ":4741"} }

// saying is the status of a server that proposes some servers.
func saying(id string, expect int, proposed ...member) status {
	return status{ID: id, Address: id + ":4741", Expect: expect, Proposal: proposed}
}

func TestProposal_IsMadeWhenExactlyTheExpectedServersAreThere(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	p := proposal{}.next(at("b"), 3, []status{saying("a", 3)}, now)
	must.Nil(t, p.members)
	must.ErrorContains(t, p.agreed(at("b"), 3, []status{saying("a", 3)}), "2 of the 3 servers")

	p = p.next(at("b"), 3, []status{saying("c", 3), saying("a", 3)}, now)
	must.Eq(t, []member{at("a"), at("b"), at("c")}, p.members)

	four := []status{saying("a", 3), saying("c", 3), saying("d", 3)}
	must.Nil(t, proposal{}.next(at("b"), 3, four, now).members)
	err := p.agreed(at("b"), 3, four)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.ErrorContains(t, err, "4 servers answer and none belongs to a cluster, but bootstrap_expect is 3")
}

func TestProposal_IsAgreedOnlyWhenAllProposeTheSame(t *testing.T) {
	t.Parallel()
	all := []member{at("a"), at("b"), at("c")}
	p := proposal{members: all}
	moved := saying("c", 3, all...)
	moved.Address = "elsewhere:4741"
	for name, tc := range map[string]struct {
		peers []status
		want  string // "" means agreed
		code  api.ErrorCode
	}{
		"agreed":             {[]status{saying("a", 3, all...), saying("c", 3, all...)}, "", ""},
		"one is silent":      {[]status{saying("a", 3, all...)}, "server c at c:4741, with which the cluster is to be bootstrapped, is silent", api.CodeUnavailable},
		"one has moved":      {[]status{saying("a", 3, all...), moved}, "server c at c:4741, with which the cluster is to be bootstrapped, is silent", api.CodeUnavailable},
		"another number":     {[]status{saying("a", 5, all...), saying("c", 3, all...)}, "bootstrap_expect is 3 here and 5 at server a", api.CodeConflict},
		"none proposed yet":  {[]status{saying("a", 3), saying("c", 3, all...)}, "server a has not proposed the same servers yet", api.CodeUnavailable},
		"another one's set":  {[]status{saying("a", 3, at("a"), at("b"), at("d")), saying("c", 3, all...)}, "server a has not proposed", api.CodeUnavailable},
		"the same, one less": {[]status{saying("a", 3, all[:2]...), saying("c", 3, all...)}, "server a has not proposed", api.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := p.agreed(at("b"), 3, tc.peers)
			if tc.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, tc.want)
			must.True(t, api.IsCode(err, tc.code))
		})
	}
}

func TestProposal_IsGivenUpWhenAServerIsSilentForLong(t *testing.T) {
	t.Parallel()
	began := time.Unix(1e9, 0)
	both, one := []status{saying("a", 3), saying("c", 3)}, []status{saying("a", 3)}
	p := proposal{}.next(at("b"), 3, both, began)
	p = p.next(at("b"), 3, one, began.Add(time.Second))
	p = p.next(at("b"), 3, one, began.Add(time.Second+proposalTimeout))
	must.Len(t, 3, p.members, must.Sprint("not for longer than that yet"))
	p = p.next(at("b"), 3, both, began.Add(2*proposalTimeout))
	p = p.next(at("b"), 3, one, began.Add(3*proposalTimeout))
	must.Len(t, 3, p.members, must.Sprint("it was back meanwhile"))
	p = p.next(at("b"), 3, one, began.Add(4*proposalTimeout+time.Second))
	must.Nil(t, p.members)

	t.Log("another server takes the place of the silent one")
	p = p.next(at("b"), 3, []status{saying("a", 3), saying("d", 3)}, began.Add(5*proposalTimeout))
	must.Eq(t, []member{at("a"), at("b"), at("d")}, p.members)
}

// Whoever hears whom, and when: two different sets that share a server never both
// become a cluster, as long as no proposal is given up.
func TestProposal_NeverMakesTwoClustersOfServersThatReachEachOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ids := []string{"a", "b", "c", "d"}
		now := time.Unix(1e9, 0)
		proposals := map[string]proposal{}
		clusters := map[string][]member{} // by the server that bootstraps
		for range rapid.IntRange(1, 40).Draw(rt, "rounds") {
			now = now.Add(proposalTimeout / 40)
			id := rapid.SampledFrom(ids).Draw(rt, "server")
			if clusters[id] != nil {
				continue
			}
			var peers []status
			for _, other := range ids {
				if other != id && clusters[other] == nil && rapid.Bool().Draw(rt, "hears "+other) {
					peers = append(peers, saying(other, 3, proposals[other].members...))
				}
			}
			p := proposals[id].next(at(id), 3, peers, now)
			proposals[id] = p
			if p.agreed(at(id), 3, peers) == nil {
				clusters[id] = p.members
			}
		}
		for one, set := range clusters {
			for other, theirs := range clusters {
				shared := 0
				for _, m := range set {
					for _, o := range theirs {
						if m == o {
							shared++
						}
					}
				}
				if shared > 0 && shared < 3 {
					rt.Fatalf("%s bootstraps %v, and %s bootstraps %v", one, set, other, theirs)
				}
			}
		}
	})
}
