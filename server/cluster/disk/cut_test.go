package disk

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"
)

// full is a log on a disk that may have no space left.
type full struct {
	*raft.InmemStore

	err error
}

func (f *full) StoreLogs(entries []*raft.Log) error {
	if f.err != nil {
		return f.err
	}
	return f.InmemStore.StoreLogs(entries)
}

func TestCutLog_TellsWhenItStaysCutOff(t *testing.T) {
	t.Parallel()
	noSpace := errors.New("no space left on device")
	entries := func(first, last uint64) (out []*raft.Log) {
		for i := first; i <= last; i++ {
			out = append(out, &raft.Log{Index: i})
		}
		return out
	}
	for name, c := range map[string]struct {
		do   func(*cutLog, *full) error // the last step's error
		stay bool
	}{
		"appended": {do: func(l *cutLog, _ *full) error { return l.StoreLog(&raft.Log{Index: 6}) }},
		"no space, and nothing was cut off": {do: func(l *cutLog, f *full) error {
			f.err = noSpace
			return l.StoreLogs(entries(6, 7))
		}},
		"its beginning is compacted": {do: func(l *cutLog, f *full) error {
			must.NoError(t, l.DeleteRange(1, 3))
			f.err = noSpace
			return l.StoreLogs(entries(6, 7))
		}},
		"cut off, and appended": {do: func(l *cutLog, f *full) error {
			must.NoError(t, l.DeleteRange(4, 5))
			must.NoError(t, l.StoreLogs(entries(4, 4)))
			f.err = noSpace
			return l.StoreLogs(entries(5, 5))
		}},
		"cut off, and no space": {stay: true, do: func(l *cutLog, f *full) error {
			must.NoError(t, l.DeleteRange(5, 5))
			f.err = noSpace
			must.ErrorIs(t, l.StoreLogs(entries(5, 6)), noSpace)
			return l.StoreLogs(entries(5, 6)) // one reason is enough
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &full{InmemStore: raft.NewInmemStore()}
			l := newCutLog(f)
			must.NoError(t, l.StoreLogs(entries(1, 5)))
			must.ErrorIs(t, c.do(l, f), f.err)
			select {
			case err := <-l.stay:
				must.True(t, c.stay)
				must.ErrorIs(t, err, noSpace)
			default:
				must.False(t, c.stay)
			}
		})
	}
}
