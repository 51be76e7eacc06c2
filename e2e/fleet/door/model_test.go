package door_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
)

func TestModelKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := door.NewModel(fleet.New(1, time.Now()))
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		defer func() { cancel(); synctest.Wait() }()

		var done []time.Duration
		began := time.Now()
		m.Update(func(f *fleet.Fleet) {
			for _, d := range []time.Duration{3 * time.Second, time.Second} {
				f.At(f.Now().Add(d), func() { done = append(done, time.Since(began)) })
			}
		})
		time.Sleep(500 * time.Millisecond)
		m.Update(func(f *fleet.Fleet) {
			must.Eq(t, 500*time.Millisecond, f.Now().Sub(began), must.Sprint("who looks sees the present"))
			f.At(f.Now().Add(100*time.Millisecond), func() { done = append(done, time.Since(began)) })
		})
		time.Sleep(10 * time.Second)
		m.View(func(*fleet.Fleet) {
			must.Eq(t, []time.Duration{600 * time.Millisecond, time.Second, 3 * time.Second}, done)
		})
	})
}

func TestModelWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := door.NewModel(fleet.New(1, time.Now()))
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		defer func() { cancel(); synctest.Wait() }()

		var index uint64
		m.View(func(f *fleet.Fleet) { index = f.Index() })
		must.NoError(t, m.Wait(t.Context(), index-1))
		soon, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		must.ErrorIs(t, m.Wait(soon, index), context.DeadlineExceeded)

		m.Update(func(f *fleet.Fleet) {
			f.At(f.Now().Add(time.Hour), func() { f.AddNode(fleet.Node{Name: "late"}) })
		})
		began := time.Now()
		must.NoError(t, m.Wait(t.Context(), index))
		must.Eq(t, time.Hour, time.Since(began), must.Sprint("it wakes when the change comes"))
	})
}
