package log_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/log"
)

func TestLimiter_LetsATextThroughOnceAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l log.Limiter
		must.True(t, l.Allow("a"))
		must.True(t, l.Allow("b"))
		time.Sleep(time.Hour - time.Nanosecond)
		must.False(t, l.Allow("a"))
		time.Sleep(time.Nanosecond)
		must.True(t, l.Allow("a"))
		must.False(t, l.Allow("a"))
	})
}

func TestLimiter_ForgetsEverythingWhenItIsFull(t *testing.T) {
	t.Parallel()
	var l log.Limiter
	const texts = 1024
	for i := range texts {
		must.True(t, l.Allow(fmt.Sprint(i)))
	}
	must.False(t, l.Allow("0"))
	must.True(t, l.Allow("one more"))
	must.True(t, l.Allow("0"))
}
