package audit

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Device is where entries go: a FileDevice, a SocketDevice or a SyslogDevice.
type Device interface {
	name() string
	// open returns the sink and the chain that it ends with. torn counts the bytes of an
	// unfinished line that were cut off.
	open() (s sink, end Chain, torn int64, err error)
}

// sink takes lines, all or none of them as far as it can. It is used by one goroutine.
type sink interface {
	write(lines []byte, last Chain) error
	close() error
}

// Sizes of a device's queue.
const (
	// queueMax is how many entries wait for a device; more mean that it does not keep up.
	queueMax = 1024
	// batchMax is how many entries share one sync.
	batchMax = 256
)

// ticket is an entry on its way to a device.
type ticket struct {
	entry Entry
	done  chan error // has room for the result
}

// writer hands entries to one device.
type writer struct {
	name  string
	sink  sink
	queue chan *ticket
	ended chan error // the result of closing the sink

	chain Chain // of the goroutine alone

	mu     sync.Mutex
	missed uint64 // entries that were not taken since the last one that was
	failed error  // why the last entry was not taken
	stuck  bool   // it has let an entry wait for too long, and not answered since
}

// newWriter opens a device, writes the start entry and begins to take entries.
func newWriter(d Device, server string) (*writer, error) {
	s, end, torn, err := d.open()
	if err != nil {
		return nil, err
	}
	w := &writer{name: d.name(), sink: s, chain: end, queue: make(chan *ticket, queueMax), ended: make(chan error, 1)}
	go w.run()
	first := w.offer(Entry{Kind: KindStart, Server: server, Time: time.Now().UTC(), Torn: torn})
	limit, stop := within(takeTimeout)
	defer stop()
	if err := w.wait(limit, first); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

// run writes until the queue is closed.
func (w *writer) run() {
	for t := range w.queue {
		batch := []*ticket{t}
		for len(batch) < batchMax {
			select {
			case more, ok := <-w.queue:
				if ok {
					batch = append(batch, more)
					continue
				}
			default:
			}
			break
		}
		w.write(batch)
	}
	w.ended <- w.sink.close()
}

// write appends a batch of entries, and answers whoever waits for them.
func (w *writer) write(batch []*ticket) {
	w.mu.Lock()
	missed := w.missed
	w.mu.Unlock()
	var lines []byte
	var sealed, refused []*ticket
	var why error
	end := w.chain
	for _, t := range batch {
		if len(sealed) == 0 {
			t.entry.Missed = missed
		}
		line, next, err := end.Seal(t.entry)
		if err != nil {
			refused, why = append(refused, t), err // it alone can't be written
			continue
		}
		lines, end, sealed = append(lines, line...), next, append(sealed, t)
	}
	if len(sealed) > 0 {
		err := w.sink.write(lines, end)
		if err == nil {
			w.chain = end
		}
		w.answered(err, missed, sealed)
	}
	w.answered(why, 0, refused)
}

// answered notes what became of entries, the first of which tells of missed ones, and
// answers whoever waits for them.
func (w *writer) answered(err error, missed uint64, entries []*ticket) {
	if len(entries) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed, w.stuck = err, false
	if err == nil {
		w.missed -= missed
	} else {
		w.missed += uint64(len(entries))
	}
	for _, t := range entries {
		t.done <- err
	}
}

// errBusy is a device that does not keep up.
var errBusy = errors.New("it does not keep up")

// offer hands an entry over without waiting.
func (w *writer) offer(e Entry) *ticket {
	t := &ticket{entry: e, done: make(chan error, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stuck {
		select {
		case w.queue <- t:
			return t
		default:
		}
	}
	w.missed++
	if w.failed == nil {
		w.failed = errBusy
	}
	t.done <- w.failed
	return t
}

// within returns a limit for all who wait: it is closed after a time, unless it is stopped.
func within(most time.Duration) (limit <-chan struct{}, stop func()) {
	over := make(chan struct{})
	timer := time.AfterFunc(most, func() { close(over) })
	return over, func() { timer.Stop() }
}

// wait returns what became of an entry. A device that lets it wait for too long is given
// no more until it has answered.
func (w *writer) wait(limit <-chan struct{}, t *ticket) error {
	select {
	case err := <-t.done:
		return err
	case <-limit:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case err := <-t.done: // it came before: another device has used up the time
		return err
	default: // the writer answers under the lock, so it has yet to, and then ends this
	}
	w.stuck = true
	w.failed = fmt.Errorf("%w: it did not take an entry within %s", errBusy, takeTimeout)
	return w.failed
}

// trouble is why the last entry was not taken.
func (w *writer) trouble() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// closeTimeout is how long a device may take to write what it still has.
const closeTimeout = takeTimeout

// stop ends the goroutine, unless the device hangs: then it ends when that does.
func (w *writer) stop() error {
	close(w.queue)
	limit, stop := within(closeTimeout)
	defer stop()
	select {
	case err := <-w.ended:
		return err
	case <-limit:
		return fmt.Errorf("close audit %s: it has not ended after %s", w.name, closeTimeout)
	}
}
