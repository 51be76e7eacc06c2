package sandbox

import (
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/twin"
)

func TestImagesSeen_AreTheSameByIDOrByDigest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nodes      []string
		containers []string
		differ     string
		fails      string
	}{
		"one image": {
			nodes:      []string{"container /app-1 sha256:aa\ncontainer /other sha256:bb\nimage sha256:aa\n", "container /app-2 sha256:aa\n"},
			containers: []string{"app-1", "app-2"},
		},
		"one digest, and another store": {
			nodes:      []string{"container /app-1 sha256:aa\nimage sha256:aa r/web@sha256:cc\n", "container /app-2 sha256:dd\nimage sha256:dd q/web@sha256:ee r/web@sha256:cc\n"},
			containers: []string{"app-1", "app-2"},
		},
		"a tag that moved": {
			nodes:      []string{"container /app-1 sha256:aa\ncontainer /app-2 sha256:bb\n", "container /app-3 sha256:bb\nimage sha256:bb r/web@sha256:cc\n"},
			containers: []string{"app-1", "app-2", "app-3"},
			differ:     "those that run it differ: 2 of 3 have the image sha256:bb, 1 of 3 have the image sha256:aa",
		},
		"one that is not told": {nodes: []string{"container /app-1 sha256:aa\n"}, containers: []string{"app-1", "app-2"}, fails: "Docker has no container app-2"},
		"half a line":          {nodes: []string{"container /app-1"}, fails: "is not whole"},
		"other containers":     {nodes: []string{"container /app-1 sha256:aa\ncontainer /other sha256:bb\n"}, containers: []string{"app-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := imagesSeen{}
			var err error
			for _, text := range c.nodes {
				err = errors.Join(err, seen.add(text))
			}
			if err == nil {
				err = seen.same(c.containers)
			}
			differ, differs := errors.AsType[*twin.DifferError](err)
			must.EqOp(t, c.differ != "", differs)
			if differs {
				must.EqOp(t, c.differ, differ.Error())
				return
			}
			must.EqOp(t, c.fails != "", err != nil, must.Sprint(err))
			if err != nil {
				must.StrContains(t, err.Error(), c.fails)
			}
		})
	}
}
