package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/kpi/convention"
)

// TestAddressBook_LooksAgain reads the registrations seldom, and sooner for an allocation
// that it does not know.
func TestAddressBook_LooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		all := []convention.Instance{{ID: "a", Addresses: []string{"10.0.0.1:80", "10.0.0.9:99"}}, {ID: "b", Addresses: []string{"10.0.0.9:99"}}}
		var away error
		book := &addressBook{log: slog.New(slog.DiscardHandler), read: func(context.Context) ([]convention.Instance, []string, error) {
			asked++
			return all, []string{"addresses in Consul's catalog: no answer"}, away
		}}
		look := func(want map[string]string, times int, ids ...string) {
			t.Helper()
			got, err := book.Addresses(t.Context(), ids)
			must.NoError(t, err)
			must.Eq(t, want, got)
			must.Eq(t, times, asked)
		}
		one := map[string]string{"10.0.0.1:80": "a"} // the other address is of two
		look(one, 1, "a")
		all = append(all, convention.Instance{ID: "c", Addresses: []string{"10.0.0.3:80"}})
		look(one, 1, "c")
		time.Sleep(addressesLeast)
		look(one, 1, "a")
		both := map[string]string{"10.0.0.1:80": "a", "10.0.0.3:80": "c"}
		look(both, 2, "a", "c")
		time.Sleep(addressesRest - time.Second)
		look(both, 2)
		time.Sleep(time.Second)
		look(both, 3)
		time.Sleep(addressesRest)
		away = errors.New("no answer")
		_, err := book.Addresses(t.Context(), nil)
		must.ErrorIs(t, err, away)
	})
}
