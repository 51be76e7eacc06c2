package state

import "sync"

// ahead holds entries that were decoded before Raft handed them over: the leader
// decodes its own while they are being written to disk, so that carrying them
// out waits for that no more. An entry is known by where its bytes are, which
// Raft passes on as they are; what it becomes is the same whoever decodes it.
type ahead struct {
	mu      sync.Mutex
	entries map[*byte]opened
}

// opened is a decoded entry. It belongs to whoever takes it: the state keeps
// what the command holds.
type opened struct {
	env envelope
	cmd Command
}

// Ahead decodes an entry that Raft was given, and keeps it until it is carried
// out or forget is called, which is to be done when its outcome is known.
func (f *FSM) Ahead(entry []byte) (forget func()) {
	env, cmd, err := decode(entry)
	if err != nil {
		return func() {} // Apply says so
	}
	at := &entry[0]
	f.ahead.mu.Lock()
	defer f.ahead.mu.Unlock()
	if f.ahead.entries == nil {
		f.ahead.entries = map[*byte]opened{}
	}
	f.ahead.entries[at] = opened{env, cmd}
	return func() { f.ahead.take(at) }
}

// take returns what was decoded ahead, once.
func (a *ahead) take(at *byte) (opened, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o, ok := a.entries[at]
	delete(a.entries, at)
	return o, ok
}

// decode returns what an entry holds, decoded ahead or now.
func (f *FSM) decode(entry []byte) (envelope, Command, error) {
	if len(entry) > 0 {
		if o, ok := f.ahead.take(&entry[0]); ok {
			return o.env, o.cmd, nil
		}
	}
	return decode(entry)
}
