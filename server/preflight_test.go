package server

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// trial is a Nomad whose dry runs take more than a second each.
type trial struct {
	mu      sync.Mutex
	width   int // under way now
	widest  int
	asked   map[api.TargetRef]bool
	refuses func(api.TargetRef) error
	full    map[api.TargetRef]bool // for whom there is no room
	hangs   bool
}

func (n *trial) try(ctx context.Context, ref api.TargetRef) (api.DryRun, error) {
	out := api.DryRun{Target: ref}
	n.mu.Lock()
	n.width++
	n.widest = max(n.widest, n.width)
	if n.asked == nil {
		n.asked = map[api.TargetRef]bool{}
	}
	n.asked[ref] = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.width--
		n.mu.Unlock()
	}()
	answer := time.After(1200 * time.Millisecond)
	if n.hangs {
		answer = nil
	}
	select {
	case <-answer:
	case <-ctx.Done():
		return out, api.Errorf(api.CodeTimeout, "dry run: %v", ctx.Err())
	}
	if n.full[ref] {
		out.NoRoom = "memory exhausted on 3 of 4 nodes"
	}
	if n.refuses != nil {
		return out, n.refuses(ref)
	}
	return out, nil
}

func numbered(n int) []api.TargetRef {
	var out []api.TargetRef
	for i := range n {
		out = append(out, api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("job-%05d", i), Group: "web"})
	}
	return out
}

func TestDryRuns(t *testing.T) {
	t.Parallel()
	one := numbered(30)[29]
	for name, c := range map[string]struct {
		targets int
		nomad   *trial
		untried int
		refused int
		fails   string
	}{
		"none":                {},
		"a small patch":       {targets: 100},
		"no time for all":     {targets: 1_000, untried: 1_000 - 8*preflightWidth},
		"one is refused":      {targets: 100, nomad: &trial{refuses: only(one)}, refused: 1},
		"all are refused":     {targets: 1_000, nomad: &trial{refuses: everyone}, refused: preflightNamed, untried: 1_000 - preflightNamed},
		"nomad never answers": {targets: 3, nomad: &trial{hangs: true}, fails: "nomad answered no dry run within 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				nomad := c.nomad
				if nomad == nil {
					nomad = &trial{}
				}
				found, err := dryRuns(t.Context(), numbered(c.targets), nomad.try)
				if c.fails != "" {
					must.ErrorContains(t, err, c.fails)
					return
				}
				must.NoError(t, err)
				must.Eq(t, c.untried, found.untried)
				must.Len(t, c.refused, found.refused)
				must.SliceEmpty(t, found.said)
				must.LessEq(t, preflightWidth, nomad.widest)
			})
		})
	}
}

// TestDryRuns_SampleTheWholeFleet looks at where the targets are that were tried.
func TestDryRuns_SampleTheWholeFleet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n trial
		targets := numbered(1_000)
		_, err := dryRuns(t.Context(), targets, n.try)
		must.NoError(t, err)
		for part := range 10 {
			tried := 0
			for _, ref := range targets[part*100 : part*100+100] {
				if n.asked[ref] {
					tried++
				}
			}
			must.GreaterEq(t, 3, tried, must.Sprint("tenth ", part))
		}
	})
}

func TestDryRuns_EndWithTheirCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var n trial
		began := time.Now()
		_, err := dryRuns(ctx, numbered(1_000), n.try)
		must.True(t, api.IsCode(err, api.CodeTimeout), must.Sprint(err))
		must.Eq(t, 3*time.Second, time.Since(began))
	})
}

func TestRefusal_NamesTargets(t *testing.T) {
	t.Parallel()
	err := api.AsError(refusal("openssl", []refusedTarget{{numbered(1)[0], api.Errorf(api.CodeConflict, "it already runs that")}}, 7))
	must.Eq(t, api.CodeConflict, err.Code)
	must.Eq(t, []string{"prod/job-00000/web: it already runs that", "7 more targets were not tried"}, err.Details)
}

func only(one api.TargetRef) func(api.TargetRef) error {
	return func(ref api.TargetRef) error {
		if ref == one {
			return everyone(ref)
		}
		return nil
	}
}

func everyone(api.TargetRef) error { return api.Errorf(api.CodeInvalid, "no such image") }

func TestDryRuns_TellOfRoomThatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		targets := numbered(40)
		n := trial{full: map[api.TargetRef]bool{targets[31]: true, targets[7]: true}}
		found, err := dryRuns(t.Context(), targets, n.try)
		must.NoError(t, err)
		must.SliceEmpty(t, found.refused, must.Sprint("it may have room when the turn comes"))
		must.Eq(t, []api.DryRun{
			{Target: targets[7], NoRoom: "memory exhausted on 3 of 4 nodes"}, {Target: targets[31], NoRoom: "memory exhausted on 3 of 4 nodes"},
		}, found.said)
	})
}
