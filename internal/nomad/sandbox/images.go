package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// imagesSeen are the images of containers: their IDs, and the digests that they have in
// registries, by the container's name.
type imagesSeen map[string][]string

// add reads what one node's Docker says: lines of a container and the ID of its image, and of
// such an ID and the image's digests.
func (s imagesSeen) add(text string) error {
	of, digests := map[string]string{}, map[string][]string{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 3 && f[0] == "container":
			of[strings.TrimPrefix(f[1], "/")] = f[2]
		case len(f) >= 2 && f[0] == "image":
			for _, name := range f[2:] {
				if _, digest, ok := strings.Cut(name, "@"); ok {
					digests[f[1]] = append(digests[f[1]], digest)
				}
			}
		default:
			return api.Errorf(api.CodeUnavailable, "what it told of its images is not whole: %.200q", line)
		}
	}
	for name, id := range of {
		s[name] = append([]string{id}, digests[id]...)
	}
	return nil
}

// same is a DifferError when containers have images that are not the same: neither their IDs
// are, nor is any digest.
func (s imagesSeen) same(containers []string) error {
	type content struct {
		keys []string
		runs int
	}
	var all []*content
	for _, name := range containers {
		keys := s[name]
		if len(keys) == 0 {
			return api.Errorf(api.CodeUnavailable, "Docker has no container %s", name)
		}
		at := slices.IndexFunc(all, func(c *content) bool {
			return slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(c.keys, k) })
		})
		if at < 0 {
			at, all = len(all), append(all, &content{})
		}
		all[at].keys = append(all[at].keys, keys...)
		all[at].runs++
	}
	if len(all) < 2 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b *content) int { return cmp.Compare(b.runs, a.runs) })
	var parts []string
	for _, c := range all {
		parts = append(parts, fmt.Sprintf("%d of %d have the image %.19s", c.runs, len(containers), c.keys[0]))
	}
	return &twin.DifferError{Runs: strings.Join(parts, ", ")}
}
