package state

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// maxWeekBytes bounds what is stored of the hours of the week of one KPI. A full
// week of any samples fits.
const maxWeekBytes = 24 << 10

// ProfilesPut stores profiles in place of the stored profiles of the same targets.
// From level 3 on a baseline that has no HourSketches, and perhaps no Hours, keeps
// the stored ones: they are most of a profile and change once an hour.
type ProfilesPut struct {
	Profiles []api.Profile `json:"profiles"`
}

// Type is the command's number.
func (*ProfilesPut) Type() Type { return TypeProfilesPut }

func (p *ProfilesPut) apply(c *change) error {
	for i := range p.Profiles {
		next := &p.Profiles[i]
		if err := checkProfile(next); err != nil {
			return err
		}
		next.CreateIndex, next.ModifyIndex = c.index, c.index
		old := c.t.profiles.get(c.txn, targetKey(next.Target))
		if old != nil {
			next.CreateIndex = old.CreateIndex
			if c.old.Level >= levels.Three {
				keepHours(next, old)
			}
		}
		c.t.profiles.put(c.txn, next)
		if old == nil {
			c.event(api.TopicProfile, "profile_created", next.Target.String(), fmt.Sprintf("%s has a profile now", next.Target), nil)
		}
	}
	c.touch(api.TopicProfile)
	return nil
}

// checkProfile refuses what has no key and what is too large.
func checkProfile(p *api.Profile) error {
	if err := checkTarget("profile", p.Target); err != nil {
		return err
	}
	for i := range p.KPIs {
		if n := len(p.KPIs[i].HourSketches); n > maxWeekBytes {
			return api.Errorf(api.CodeInvalid, "profile of %s: the hours of %s have %d bytes, at most %d fit", p.Target, p.KPIs[i].KPI, n, maxWeekBytes)
		}
	}
	return nil
}

// keepHours lets next keep the hours of the week that it does not say. Rows are never
// changed, so that both may share them.
func keepHours(next, old *api.Profile) {
	for i := range next.KPIs {
		b := &next.KPIs[i]
		for j := range old.KPIs {
			have := &old.KPIs[j]
			if have.KPI != b.KPI || len(b.HourSketches) > 0 {
				continue
			}
			b.HourSketches = have.HourSketches
			if len(b.Hours) == 0 {
				b.Hours = have.Hours
			}
		}
	}
}

// ProfilesForget drops the profiles of targets that were not seen for so long before
// the time of the entry. One that was seen since stays.
type ProfilesForget struct {
	Targets []api.TargetRef `json:"targets"`
	Unseen  api.Duration    `json:"unseen"`
}

// Type is the command's number.
func (*ProfilesForget) Type() Type { return TypeProfilesForget }

func (*ProfilesForget) level() int { return levels.Three }

func (p *ProfilesForget) apply(c *change) error {
	if p.Unseen <= 0 {
		return api.Errorf(api.CodeInvalid, "forget profiles: want for how long their targets were not seen, have %s", p.Unseen.D())
	}
	limit := c.at.Add(-p.Unseen.D())
	for _, ref := range p.Targets {
		profile := c.t.profiles.get(c.txn, targetKey(ref))
		if profile == nil || !profile.LastSeen().Before(limit) {
			continue
		}
		c.t.profiles.remove(c.txn, targetKey(ref))
		c.event(api.TopicProfile, "profile_forgotten", ref.String(), fmt.Sprintf("the profile of %s is forgotten: nobody has seen it for %s", ref, p.Unseen.D()), nil)
	}
	return nil
}
