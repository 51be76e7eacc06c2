package api

import (
	"slices"
	"time"
)

// PolicyVersion is one version of a policy file. A file that is applied again as it is makes
// no new one.
type PolicyVersion struct {
	Version   int               `json:"version"` // counts from 1
	AppliedBy string            `json:"applied_by,omitempty"`
	AppliedAt time.Time         `json:"applied_at,omitzero"`
	Builtin   bool              `json:"builtin,omitempty"`
	Blocks    []string          `json:"blocks"` // names of the policy blocks in it
	File      string            `json:"file"`   // its name
	Digest    string            `json:"digest"` // SHA-256 of the text and of the files that it reads, in hex
	Text      string            `json:"text"`   // SHA-256 of the text alone
	Files     map[string]string `json:"files,omitempty"`
}

// PolicyHistory is what is kept of a policy's versions. A text or a file that several of
// them have is kept once.
type PolicyHistory struct {
	Name     string            `json:"name"`
	Versions []PolicyVersion   `json:"versions"` // the newest first
	Contents map[string]string `json:"contents"` // texts and files, by their SHA-256
}

// PolicyVersionsMax is how many versions of a policy are kept, as Nomad keeps of a job.
const PolicyVersionsMax = 6

// Policy is a version as it was applied. It returns false when the version is not kept.
func (h *PolicyHistory) Policy(version int) (Policy, bool) {
	i := slices.IndexFunc(h.Versions, func(v PolicyVersion) bool { return v.Version == version })
	if i < 0 {
		return Policy{}, false
	}
	v := h.Versions[i]
	out := Policy{
		Name: h.Name, Version: v.Version, Builtin: v.Builtin, AppliedBy: v.AppliedBy, AppliedAt: v.AppliedAt, Blocks: slices.Clone(v.Blocks),
		File: SourceFile{Name: v.File, Text: h.Contents[v.Text]},
	}
	for name, digest := range v.Files {
		if out.File.Files == nil {
			out.File.Files = map[string]string{}
		}
		out.File.Files[name] = h.Contents[digest]
	}
	return out, true
}
