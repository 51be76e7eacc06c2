package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"
)

func TestLoopbackUp(t *testing.T) {
	eth := net.Interface{Name: "eth0", Flags: net.FlagUp}
	lo := net.Interface{Name: "lo", Flags: net.FlagLoopback}
	must.False(t, loopbackUp(nil))
	must.False(t, loopbackUp([]net.Interface{eth, lo}), must.Sprint("one is up, and another one is the loopback"))
	lo.Flags |= net.FlagUp
	must.True(t, loopbackUp([]net.Interface{eth, lo}))
}

func TestWatchParent_EndsWithMake(t *testing.T) {
	for name, tc := range map[string]struct {
		level string
		ends  bool
	}{"by make": {"1", true}, "by hand": {"", false}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("MAKELEVEL", tc.level)
			synctest.Test(t, func(t *testing.T) {
				ctx, broken := context.WithCancelCause(t.Context())
				looks := 0
				watchParent(ctx, func() int {
					if looks++; looks > 5 {
						return 1
					}
					return 100
				}, broken)
				must.Eq(t, tc.ends, errors.Is(context.Cause(ctx), errOrphaned))
				broken(nil)
			})
		})
	}
}
