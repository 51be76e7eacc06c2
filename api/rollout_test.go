package api_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestCeilPercent_RoundsUp(t *testing.T) {
	for _, c := range []struct{ percent, count, want int }{
		{0, 10, 0}, {10, 0, 0}, {1, 1, 1}, {10, 3, 1}, {10, 10, 1}, {11, 10, 2}, {50, 3, 2}, {99, 100, 99}, {100, 7, 7},
	} {
		must.Eq(t, c.want, api.CeilPercent(c.percent, c.count), must.Sprint(c))
	}
}
