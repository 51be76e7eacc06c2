package agenda_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/fleet/agenda"
)

func TestAgenda_IsByTimeAndThenByTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	var a agenda.Agenda
	var said []string
	for _, e := range []struct {
		after int
		name  string
	}{{3, "d"}, {1, "a"}, {2, "c"}, {1, "b"}} {
		a.Add(time.Unix(int64(e.after), 0), func() { said = append(said, e.name) })
	}
	for {
		at, ok := a.Next()
		if !ok {
			break
		}
		due, do := a.Take()
		must.EqOp(t, at, due)
		do()
	}
	must.Eq(t, []string{"a", "b", "c", "d"}, said)
}
