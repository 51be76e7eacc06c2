// Package versions keeps the former versions of policy files. It is pure: what it is given
// is not changed.
package versions

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// Applied returns the history after a policy was applied, and the version that the policy
// is. Was is the policy before, nil for a new one; had is its history, nil where none was
// kept: the policy before is its first version then.
func Applied(had *api.PolicyHistory, was, now *api.Policy) (*api.PolicyHistory, int) {
	out := &api.PolicyHistory{Name: now.Name, Contents: map[string]string{}}
	switch {
	case had != nil:
		out.Versions, out.Contents = slices.Clone(had.Versions), maps.Clone(had.Contents)
	case was != nil:
		add(out, was)
	}
	add(out, now)
	if len(out.Versions) > api.PolicyVersionsMax {
		out.Versions = out.Versions[:api.PolicyVersionsMax]
	}
	used := map[string]bool{}
	for _, v := range out.Versions {
		used[v.Text] = true
		for _, digest := range v.Files {
			used[digest] = true
		}
	}
	maps.DeleteFunc(out.Contents, func(digest, _ string) bool { return !used[digest] })
	return out, out.Versions[0].Version
}

// add puts a policy before the versions, unless the newest one says the same.
func add(to *api.PolicyHistory, p *api.Policy) {
	v := api.PolicyVersion{
		Version: 1, AppliedBy: p.AppliedBy, AppliedAt: p.AppliedAt, Builtin: p.Builtin, Blocks: slices.Clone(p.Blocks),
		File: p.File.Name, Text: sum(p.File.Text), Digest: Digest(p.File),
	}
	if len(to.Versions) > 0 {
		newest := to.Versions[0]
		if newest.Digest == v.Digest && newest.Builtin == v.Builtin {
			return
		}
		v.Version = newest.Version + 1
	}
	to.Contents[v.Text] = p.File.Text
	for name, text := range p.File.Files {
		if v.Files == nil {
			v.Files = map[string]string{}
		}
		v.Files[name] = sum(text)
		to.Contents[v.Files[name]] = text
	}
	to.Versions = append([]api.PolicyVersion{v}, to.Versions...)
}

// Digest is over a file's text and the files that it reads.
func Digest(f api.SourceFile) string {
	h := sha256.New()
	h.Write([]byte(sum(f.Text)))
	for _, name := range slices.Sorted(maps.Keys(f.Files)) {
		h.Write([]byte("\x00" + name + "\x00" + sum(f.Files[name])))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}
