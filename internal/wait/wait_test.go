package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"
)

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		after := func(d time.Duration) func() bool { return func() bool { return time.Since(began) >= d } }
		must.NoError(t, Until(t.Context(), time.Minute, func() bool { return true }))
		must.Eq(t, 0, time.Since(began), must.Sprint("what is so already takes no time"))

		must.NoError(t, Until(t.Context(), time.Minute, after(3*time.Second)))
		must.Between(t, 3*time.Second, time.Since(began), 3*time.Second+3*time.Second/part)

		must.EqError(t, Until(t.Context(), time.Second, func() bool { return false }), "not within 1s")

		gone := errors.New("nobody waits any more")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		must.ErrorIs(t, Until(ctx, time.Minute, func() bool { return false }), gone)
	})
}

func TestForWaitsInACleanupToo(t *testing.T) {
	looks := 0
	t.Run("test", func(t *testing.T) {
		t.Cleanup(func() { For(t, "three looks", func() bool { looks++; return looks == 3 }) })
	})
	must.Eq(t, 3, looks)
}

func TestMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		minutes := func() uint64 { return uint64(time.Since(began) / time.Minute) }
		must.NoError(t, Moving(t.Context(), 2*time.Minute, func() (uint64, bool) { return minutes(), minutes() == 30 }))
		must.Between(t, 30*time.Minute, time.Since(began), 31*time.Minute, must.Sprint("far beyond the patience"))

		began = time.Now()
		err := Moving(t.Context(), 2*time.Minute, func() (uint64, bool) { return min(minutes(), 5), false })
		must.EqError(t, err, "nothing has moved for 2m0s")
		must.Between(t, 7*time.Minute, time.Since(began), 8*time.Minute)

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the test is over"))
		must.ErrorContains(t, Moving(ctx, time.Minute, func() (uint64, bool) { return minutes(), false }), "the test is over")
	})
}
