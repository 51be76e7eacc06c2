package state

import "sync"

// ahead holds entries that were decoded before Raft handed them to the state
// machine. The key is where the bytes of an entry are: the Raft of a leader hands
// over the very slice that it was given. An entry that is held here stays in
// memory, so no other entry has its key.
type ahead struct {
	mu      sync.Mutex
	entries map[*byte]decoded
}

// decoded is an entry that was read. Its command is applied once: the state keeps
// what the command holds.
type decoded struct {
	env envelope
	cmd Command
}

func (a *ahead) put(at *byte, d decoded) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.entries == nil {
		a.entries = map[*byte]decoded{}
	}
	a.entries[at] = d
}

// take returns what is held of an entry, and holds it no longer.
func (a *ahead) take(at *byte) (decoded, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d, ok := a.entries[at]
	delete(a.entries, at)
	return d, ok
}

// Prepare decodes an entry that Raft was given, while Raft writes it to the disk.
// Apply then finds it decoded; it decodes by itself what was not prepared in time.
// The caller calls forget when the outcome of the entry is known.
func (f *FSM) Prepare(entry []byte) (forget func()) {
	env, cmd, err := decode(entry)
	if err != nil {
		return func() {} // Apply says so
	}
	at := &entry[0]
	f.ahead.put(at, decoded{env, cmd})
	return func() { f.ahead.take(at) }
}

// decode returns what an entry holds, decoded by Prepare or now.
func (f *FSM) decode(entry []byte) (envelope, Command, error) {
	if len(entry) > 0 {
		if d, ok := f.ahead.take(&entry[0]); ok {
			return d.env, d.cmd, nil
		}
	}
	return decode(entry)
}
