package audit

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// device is a model of a device: it keeps lines, fails with an error that is set, and
// with a gate waits for it to open.
type device struct {
	as   string
	gate chan struct{} // nil is open

	mu    sync.Mutex
	fails error
	lines []byte
}

func (d *device) name() string                        { return d.as }
func (d *device) open() (sink, Chain, int64, error)   { return d, Chain{}, 0, nil }
func (d *device) close() error                        { return nil }
func (d *device) set(err error)                       { d.mu.Lock(); defer d.mu.Unlock(); d.fails = err }
func (d *device) verify(t *testing.T) (report Report) { return verified(t, text(d.as, d.content())) }
func (d *device) content() []byte                     { d.mu.Lock(); defer d.mu.Unlock(); return d.lines }

func (d *device) shut(gate chan struct{}) { d.mu.Lock(); defer d.mu.Unlock(); d.gate = gate }

func (d *device) write(lines []byte, _ Chain) error {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		<-gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails == nil {
		d.lines = append(d.lines, lines...)
	}
	return d.fails
}

func verified(t *testing.T, files ...File) Report {
	t.Helper()
	report, err := Verify(files, Known{})
	must.NoError(t, err)
	return report
}

func open(t *testing.T, devices ...Device) *Log {
	t.Helper()
	l, err := New(Options{Server: "a", Key: NewKey(), Devices: devices})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, l.Close()) })
	return l
}

func TestLog_IsTakenWhileOneDeviceTakesIt(t *testing.T) {
	one, two := &device{as: "one"}, &device{as: "two"}
	l := open(t, one, two)
	must.NoError(t, l.Record(Entry{Kind: KindRequest}))
	one.set(errors.New("disk full"))
	must.NoError(t, l.Record(Entry{Kind: KindRequest}))
	must.NoError(t, l.Ready())
	must.Eq(t, []string{"audit one takes no entries: disk full"}, l.Troubles())

	two.set(errors.New("gone"))
	err := l.Record(Entry{Kind: KindRequest})
	must.True(t, api.IsCode(err, api.CodeUnavailable))
	must.StrContains(t, err.Error(), "no device took the entry")
	must.Eq(t, []string{"one: disk full", "two: gone"}, api.AsError(err).Details)
	must.True(t, api.IsCode(l.Ready(), api.CodeUnavailable))

	one.set(nil)
	must.NoError(t, l.Ready())
	must.EqOp(t, uint64(3), one.verify(t).Missed)
	must.EqOp(t, uint64(3), one.verify(t).Entries) // start, request and resume
	must.EqOp(t, uint64(0), two.verify(t).Missed)
}

func TestLog_DoesNotWaitForADeviceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, well := &device{as: "hung"}, &device{as: "well"}
		l := open(t, hung, well)
		gate := make(chan struct{})
		hung.shut(gate)
		must.NoError(t, l.Record(Entry{Kind: KindRequest}))
		must.NoError(t, l.Record(Entry{Kind: KindRequest})) // at once: it has been late before
		must.SliceLen(t, 1, l.Troubles())
		must.StrContains(t, l.Troubles()[0], "it does not keep up")
		close(gate)
		synctest.Wait()
		must.NoError(t, l.Record(Entry{Kind: KindRequest}))
		must.SliceEmpty(t, l.Troubles())
		must.EqOp(t, Report{Entries: 4, First: 1, Last: 4, Head: well.verify(t).Head}, well.verify(t))
		must.EqOp(t, uint64(1), hung.verify(t).Missed) // the first was late, and is there
	})
}

// A device that answers at the very limit is late or not, and takes the next entry.
func TestLog_GivesNoDeviceUpThatAnswersAtTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &device{as: "late"}
		l := open(t, d)
		for range 500 {
			gate := make(chan struct{})
			d.shut(gate)
			time.AfterFunc(takeTimeout, func() { close(gate) })
			_ = l.Record(Entry{Kind: KindRequest}) // whether it was in time is chance
			synctest.Wait()
			d.shut(nil)
			must.NoError(t, l.Record(Entry{Kind: KindRequest}))
		}
		must.EqOp(t, uint64(1001), d.verify(t).Entries)
	})
}

func TestLog_CountsEntriesThatAreTooLong(t *testing.T) {
	d := &device{as: "one"}
	l := open(t, d)
	long := Entry{Kind: KindIntent, Effect: &Effect{Detail: strings.Repeat("x", lineMax)}}
	must.ErrorContains(t, l.Record(long), "no device took the entry")
	must.NoError(t, l.Record(Entry{Kind: KindRequest}))
	must.EqOp(t, uint64(1), d.verify(t).Missed)
	must.SliceEmpty(t, l.Troubles())
}

func TestLog_TakesEntriesOfManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, FileDevice{Path: path})
	const callers, each = 16, 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				must.NoError(t, l.Record(Entry{Kind: KindRequest}))
			}
		})
	}
	wg.Wait()
	must.EqOp(t, uint64(callers*each+1), verified(t, onDisk(path)).Entries)
}

func TestLog_RecordsNothingAfterItsEnd(t *testing.T) {
	d := &device{as: "one"}
	l := open(t, d)
	must.NoError(t, l.Close())
	must.True(t, api.IsCode(l.Record(Entry{Kind: KindRequest}), api.CodeUnavailable))
	must.EqOp(t, uint64(1), d.verify(t).Entries)
}

func TestLog_WithoutDevicesTakesEverything(t *testing.T) {
	var none *Log
	for _, l := range []*Log{none, open(t)} {
		must.NoError(t, l.Record(Entry{Kind: KindRequest}))
		must.NoError(t, l.Ready())
		must.SliceEmpty(t, l.Troubles())
	}
}

func TestConceal_KnowsEqualValuesByTheServersKey(t *testing.T) {
	one, other := &Log{key: NewKey()}, &Log{key: NewKey()}
	must.EqOp(t, one.Conceal([]byte("s3cret")), one.Conceal([]byte("s3cret")))
	must.NotEqOp(t, one.Conceal([]byte("s3cret")), other.Conceal([]byte("s3cret")))
	must.NotEqOp(t, one.Conceal([]byte("s3cret")), one.Conceal([]byte("S3cret")))
	must.StrNotContains(t, one.Conceal([]byte("s3cret")), "s3cret")
	must.EqOp(t, "", one.Conceal(nil))
}

func TestShort_CutsBetweenCharacters(t *testing.T) {
	must.EqOp(t, "é", Short("é"))
	cut := Short("x" + strings.Repeat("é", shortMax))
	must.EqOp(t, "x"+strings.Repeat("é", (shortMax-1)/2)+"...", cut)
}

func TestKey_IsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "audit.key")
	first, err := Key(path)
	must.NoError(t, err)
	again, err := Key(path)
	must.NoError(t, err)
	must.Eq(t, first, again)
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.EqOp(t, os.FileMode(0o600), info.Mode().Perm())
	must.NoError(t, os.WriteFile(path, []byte("short"), 0o600))
	_, err = Key(path)
	must.ErrorContains(t, err, "5 bytes, want 32")
}

func TestSocketDevice_ComesBackAfterALostConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	must.NoError(t, err)
	l := open(t, SocketDevice{Network: "unix", Address: path})
	first, err := listener.Accept()
	must.NoError(t, err)
	line := make([]byte, 1)
	_, err = io.ReadFull(first, line) // the start entry is on its way
	must.NoError(t, err)
	must.NoError(t, first.Close())
	must.NoError(t, listener.Close())
	must.True(t, api.IsCode(l.Record(Entry{Kind: KindRequest}), api.CodeUnavailable))

	listener, err = (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, listener.Close()) })
	must.NoError(t, l.Record(Entry{Kind: KindRequest}))
	second, err := listener.Accept()
	must.NoError(t, err)
	must.NoError(t, l.Close())
	rest, err := io.ReadAll(second)
	must.NoError(t, err)
	e, _, err := Open(rest[:len(rest)-1])
	must.NoError(t, err)
	must.EqOp(t, uint64(2), e.Sequence)
	must.EqOp(t, uint64(1), e.Missed)
}
