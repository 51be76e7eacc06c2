package state

import "sync"

// ahead holds what the leader's entries say until Raft hands them to the state machine,
// so that they need not be decoded. The key is where the bytes of an entry are: the Raft
// of a leader hands over the very slice that it was given. An entry that is held here
// stays in memory, so no other entry has its key.
type ahead struct {
	mu      sync.Mutex
	entries map[*byte]decoded
}

// decoded is what an entry holds. Its command is applied once: the state keeps
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

// Prepare has ready for Apply what an entry holds. The caller calls forget when the
// outcome of the entry is known. Apply decodes by itself what was not prepared in time.
func (f *FSM) Prepare(entry Entry) (forget func()) {
	d, err := f.readBack(entry)
	if err != nil {
		return func() {} // Apply decodes the entry
	}
	at := &entry.Data[0]
	f.ahead.put(at, d)
	return func() { f.ahead.take(at) }
}

// readBack returns what decoding an entry gives.
func (f *FSM) readBack(entry Entry) (decoded, error) {
	env, err := f.readback.Of(&entry.env)
	if err != nil {
		return decoded{}, err
	}
	cmd, err := f.readback.Of(entry.cmd)
	if err != nil {
		return decoded{}, err
	}
	return decoded{*env.(*envelope), cmd.(Command)}, nil
}

// decode returns what an entry holds, from Prepare, or decoded now.
func (f *FSM) decode(entry []byte) (envelope, Command, error) {
	if len(entry) > 0 {
		if d, ok := f.ahead.take(&entry[0]); ok {
			return d.env, d.cmd, nil
		}
	}
	return decode(entry)
}
