package simulator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"
)

func TestLongest_EndsBeforeItsContext(t *testing.T) {
	const look = 2 * time.Second
	for name, c := range map[string]struct {
		planned, left, want time.Duration
	}{
		"no limit":              {5 * time.Minute, 0, 50 * time.Minute},
		"far from it":           {30 * time.Second, 14 * time.Minute, 5 * time.Minute},
		"before it":             {5 * time.Minute, 14 * time.Minute, 14*time.Minute - 2*look},
		"the plan is too long":  {20 * time.Minute, 14 * time.Minute, 20 * time.Minute},
		"the plan just fits in": {14 * time.Minute, 14 * time.Minute, 14 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if c.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.left)
					defer cancel()
				}
				must.Eq(t, c.want, longest(ctx, c.planned, 2*look, 1))
			})
		})
	}
}
