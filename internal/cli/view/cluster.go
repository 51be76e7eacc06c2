package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Servers is the table of list-peers and of autopilot's health.
func Servers(w io.Writer, all []api.ServerInfo, now time.Time) {
	t := NewTable("ID", "Address", "State", "Voter", "Version", "Last index", "Lag", "Contact", "Healthy", "Since")
	for _, s := range all {
		state, contact, healthy, since := "follower", "-", "-", "-"
		if s.Leader {
			state = "leader"
		} else if s.LastContact > 0 {
			contact = Span(s.LastContact.D())
		}
		if s.Silent != "" {
			state = "silent"
		}
		if s.Healthy != nil {
			healthy, since = YesNo(*s.Healthy), Age(now, s.StableSince)
		}
		voter := YesNo(s.Voter)
		if s.NonVoter {
			voter = "never"
		}
		t.Add(s.ID, s.Address, state, voter, s.Version, fmt.Sprint(s.LastIndex), fmt.Sprint(s.Lag), contact, healthy, since)
	}
	t.Print(w, "")
}

// Intents shows the effects whose outcome is not known.
func Intents(w io.Writer, open []api.OpenIntent, now time.Time) {
	if len(open) == 0 {
		fmt.Fprintln(w, "No effect is open.")
		return
	}
	t := NewTable("Rollout", "Target", "Status", "Effect", "Open for", "Announced by", "In its way")
	for _, i := range open {
		effect, by := string(i.Kind), i.By
		if i.Stage > 0 {
			effect += fmt.Sprintf(" %d", i.Stage)
		}
		if i.Term > 0 {
			by += fmt.Sprintf(" (term %d)", i.Term)
		}
		t.Add(i.Rollout, i.Target.String(), string(i.Status), effect, Age(now, i.Intended), by, i.Trouble)
	}
	t.Print(w, "")
}

// Status shows a server, the sources that it reads and who asks, in lines of at
// most so many characters. The error is why the server did not say who asks.
func Status(w io.Writer, address string, health api.HealthReport, self api.AgentSelf, selfErr error, now time.Time, width int) {
	who := self.Identity.Name + " (" + self.Identity.Via + ")"
	if selfErr != nil {
		who = "unknown: " + api.AsError(selfErr).Message
	} else if self.AuthOff {
		who = "anybody: authentication is off (-dev)"
	}
	look := health.Warnings
	if self.InClear {
		look = append(slices.Clone(look), "the API speaks plain HTTP: whoever is between reads tokens")
	}
	ready := "yes"
	if !health.Ready {
		ready = "no: " + strings.Join(health.Because, ", ")
	}
	if health.Brake != nil {
		Braked(w, *health.Brake, now)
	}
	Fields(w, "Server", health.Server+" at "+address, "Version", self.Version, "Ready", ready,
		"Look at", strings.Join(look, ", "), "Leader", health.Leader, "You are", who, "Your rights", capabilities(self.Identity.Capabilities))
	if len(health.Sources) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := NewTable("Source", "State", "Since", "Detail")
	for _, s := range health.Sources {
		since, detail := s.Since, s.Partial
		if s.Failures > 0 {
			since, detail = s.Failing, Count(s.Failures, "failure")+" in a row: "+s.Error
		} else if s.Error != "" {
			detail = s.Error
		}
		state := string(s.State())
		if s.State() == api.SourceWhole {
			state = "ok"
		}
		t.Add(s.Name, state, Age(now, since), detail)
	}
	t.PrintWithin(w, "", width)
}

// Autopilot shows how autopilot is set, and where that is from.
func Autopilot(w io.Writer, c api.AutopilotConfig) {
	from := fmt.Sprintf("the cluster, since index %d", c.ModifyIndex)
	if c.ModifyIndex == 0 {
		from = "the leader's configuration file"
	}
	Fields(w, "Clean up dead servers", YesNo(c.CleanupDeadServers), "Dead after", c.DeadServerThreshold.String(),
		"Voters at least", fmt.Sprint(c.MinQuorum), "Last contact within", c.LastContactThreshold.String(),
		"Trailing logs at most", fmt.Sprint(c.MaxTrailingLogs), "Votes after", c.ServerStabilizationTime.String(), "From", from)
}

func capabilities(caps []api.Capability) string {
	words := make([]string, len(caps))
	for i, c := range caps {
		words[i] = string(c)
	}
	return strings.Join(words, " ")
}
