package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// unreadable stands for what has no digest. A consent to it never counts.
const unreadable = "unreadable"

// consentOf is the digest of what a person consents to: what the patch changes of the job,
// and how and when the decision has it go. Why it was decided so is no part of it, and nor
// is a doubt, whose lapse shows in the rest.
func consentOf(r api.Rollout) string {
	d := r.Decision
	d.Because, d.Weaknesses, d.Doubt = nil, nil, nil
	text, err := json.Marshal(struct {
		Patch    string
		Apply    []api.Apply
		Decision api.Decision
	}{r.PatchDigest, r.Apply, d})
	if err != nil {
		return unreadable // can't be: all of it came from JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// lapsed says why a consent does not count any more; it is "" for one that does.
func (m *machine) lapsed(a api.Approval) string {
	expires := m.Decision.Approval.Expires.D()
	switch {
	case a.Of == unreadable, a.Of != "" && a.Of != consentOf(m.Rollout):
		return "was to another decision or change"
	case expires > 0 && !m.now.Before(a.At.Add(expires)):
		return "has expired"
	}
	return ""
}

// lapsedNote says, as the end of a reason, whose consents do not count any more.
func (m *machine) lapsedNote() string {
	var out []string
	for _, a := range m.Approvals {
		if why := m.lapsed(a); why != "" {
			out = append(out, "the consent of "+a.By+" "+why)
		}
	}
	if len(out) == 0 {
		return ""
	}
	slices.Sort(out)
	return "; " + strings.Join(out, ", ")
}
