package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/oakumhq/oakum/api"
)

// Options say where a server keeps its audit log.
type Options struct {
	Server  string
	Key     []byte // of the HMACs of values that may be secret
	Devices []Device
	Logger  *slog.Logger // nil logs nothing
}

// Log writes entries to all devices. A nil log, or one without devices, takes every
// entry and keeps none. It is safe for concurrent use.
type Log struct {
	server  string
	key     []byte
	log     *slog.Logger
	writers []*writer

	open   sync.RWMutex // held for reading while an entry is handed over
	closed bool

	mu     sync.Mutex
	failed error // why no device took the last entry; nil when one did
}

// New opens the devices and writes a start entry to each. An error names the device;
// everything is closed again then.
func New(o Options) (*Log, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{server: o.Server, key: o.Key, log: o.Logger}
	for _, d := range o.Devices {
		w, err := newWriter(d, o.Server)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open audit %s: %w", d.name(), err), l.Close())
		}
		l.writers = append(l.writers, w)
	}
	return l, nil
}

// Close writes what has been handed over, and closes the devices. Entries that come later
// are taken by none.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.open.Lock()
	defer l.open.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var errs []error
	for _, w := range l.writers {
		errs = append(errs, w.stop())
	}
	return errors.Join(errs...)
}

// takeTimeout is how long a device may take for an entry: far more than a disk needs, and
// less than a caller waits. A device that takes longer is not waited for until it is back.
const takeTimeout = 5 * time.Second

// Record returns when every device has taken the entry or failed to. It is an error, of
// code unavailable, only when none took it. It depends on nobody's context: what somebody
// asked for who has gone meanwhile is recorded as well.
func (l *Log) Record(e Entry) error {
	if l == nil || len(l.writers) == 0 {
		return nil
	}
	e.Time, e.Server = time.Now().UTC(), l.server
	l.open.RLock()
	defer l.open.RUnlock()
	if l.closed {
		return unavailable(errors.New("the server stops"))
	}
	limit, stop := within(takeTimeout)
	defer stop()
	handed := make([]*ticket, len(l.writers))
	for i, w := range l.writers {
		handed[i] = w.offer(e)
	}
	var errs []error
	taken := false
	for i, t := range handed {
		if err := l.writers[i].wait(limit, t); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.writers[i].name, err))
			continue
		}
		taken = true
	}
	if taken {
		l.note(nil)
		return nil
	}
	err := errors.Join(errs...)
	l.note(err)
	return unavailable(err)
}

func unavailable(cause error) error {
	return &api.Error{
		Code:    api.CodeUnavailable,
		Message: "audit: no device took the entry, so nothing is done that it would record",
		Details: strings.Split(cause.Error(), "\n"),
	}
}

// note remembers whether entries are taken, and logs when that changes.
func (l *Log) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil && l.failed == nil:
		l.log.Error("no audit device takes entries: requests are refused, and nothing goes forward", "error", err)
	case err == nil && l.failed != nil:
		l.log.Info("an audit device takes entries again")
	}
	l.failed = err
}

// Ready is an error when no device took the last entry and none takes one now.
func (l *Log) Ready() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	failed := l.failed
	l.mu.Unlock()
	if failed == nil {
		return nil
	}
	return l.Record(Entry{Kind: KindResume})
}

// Troubles lists the devices that did not take the last entry, each with the reason.
func (l *Log) Troubles() []string {
	if l == nil {
		return nil
	}
	var out []string
	for _, w := range l.writers {
		if err := w.trouble(); err != nil {
			out = append(out, fmt.Sprintf("audit %s takes no entries: %v", w.name, err))
		}
	}
	return out
}

// Conceal returns what stands for a value that may be secret: its HMAC with the server's
// key, by which equal values are recognised; "" for an empty one.
func (l *Log) Conceal(value []byte) string {
	if l == nil || len(value) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, l.key)
	mac.Write(value)
	return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
}

// shortMax is how much is kept of a text that a caller chooses, in bytes: names are
// shorter.
const shortMax = 256

// Short cuts a text that a caller chose.
func Short(text string) string {
	if len(text) <= shortMax {
		return text
	}
	cut := shortMax
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}
