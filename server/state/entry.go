package state

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

const (
	// maxCommandBytes bounds one log entry. Raft sends entries whole, and a
	// follower that needs longer than a heartbeat to take one in disturbs the
	// cluster; packed, 32 MiB hold a submission of tens of thousands of rollouts.
	maxCommandBytes = 32 << 20
	// maxBodyBytes bounds what an entry unpacks to, so that a small one can't
	// fill the memory.
	maxBodyBytes = 256 << 20
	// packAbove is the size from which a body is packed: a transition of a
	// large target shrinks to a tenth, and one below fits into a disk's block
	// or two anyway.
	packAbove = 8 << 10
	// packDeflate names the only packing there is.
	packDeflate = "deflate"
)

// envelope is a command as it stands in the log. At level 1 it is one JSON
// object with the body inside. From level 2 on it is a line of JSON, and the
// body is the rest of the entry, so that it need not be read twice, and may be
// packed.
type envelope struct {
	Type  Type            `json:"type"`
	Level int             `json:"level"`
	At    time.Time       `json:"at"`
	By    string          `json:"by,omitempty"`
	Pack  string          `json:"pack,omitempty"` // how the body is packed
	Body  json.RawMessage `json:"body,omitempty"` // level 1
}

// Encode makes a log entry of cmd that every level can read. The leader stamps
// it with the time and with the name of whoever asked for it, because applying
// must not read a clock.
func Encode(cmd Command, at time.Time, by string) ([]byte, error) {
	return encodeAt(1, cmd, at, by)
}

// encodeAt makes a log entry in the format of a cluster level.
func encodeAt(level int, cmd Command, at time.Time, by string) ([]byte, error) {
	entry, err := entryAt(level, cmd, at, by)
	return entry.Data, err
}

// Entry is a command as it goes into the log.
type Entry struct {
	Data []byte
	env  envelope
	cmd  Command // as it was encoded; it belongs to its maker
}

func entryAt(level int, cmd Command, at time.Time, by string) (Entry, error) {
	env := envelope{Type: cmd.Type(), Level: cmd.level(), At: at.UTC(), By: by}
	if level >= levels.Two {
		env.Level = max(env.Level, levels.Two)
	}
	data, size, err := env.encode(level, cmd)
	if err != nil {
		return Entry{}, fmt.Errorf("encode command %d: %w", cmd.Type(), err)
	}
	if len(data) > maxCommandBytes || size > maxBodyBytes {
		return Entry{}, api.Errorf(api.CodeInvalid, "the change is too large: %d bytes, at most %d fit into the log", len(data), maxCommandBytes)
	}
	return Entry{Data: data, env: env, cmd: cmd}, nil
}

// encode makes the entry. Size is the size of the body before it was packed, in
// bytes.
func (env envelope) encode(level int, cmd Command) (entry []byte, size int, err error) {
	if level < levels.Two {
		if env.Body, err = json.Marshal(cmd); err != nil {
			return nil, 0, err
		}
		entry, err = json.Marshal(env)
		return entry, len(env.Body), err
	}
	body, err := json.Marshal(cmd)
	if err != nil {
		return nil, 0, err
	}
	if len(body) <= packAbove {
		if entry, err = env.line(len(body)); err != nil {
			return nil, 0, err
		}
		return append(entry, body...), len(body), nil
	}
	env.Pack = packDeflate
	if entry, err = env.line(0); err != nil {
		return nil, 0, err
	}
	packed := bytes.NewBuffer(entry)
	w, err := flate.NewWriter(packed, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	return packed.Bytes(), len(body), err
}

// line is the first line of an entry, with room for a body.
func (env *envelope) line(body int) ([]byte, error) {
	head, err := json.Marshal(env)
	if err != nil {
		return nil, err
	}
	line := make([]byte, 0, len(head)+1+body)
	return append(append(line, head...), '\n'), nil
}

// unpack undoes the packing of a body. Inflating gives the same bytes everywhere, whatever
// version deflated them.
func unpack(pack string, body []byte) ([]byte, error) {
	switch pack {
	case "":
		return body, nil
	case packDeflate:
		r := flate.NewReader(bytes.NewReader(body))
		out, err := io.ReadAll(io.LimitReader(r, maxBodyBytes+1))
		if err == nil && len(out) > maxBodyBytes {
			err = errors.New("it unpacks to more than fits into the log")
		}
		return out, err
	}
	return nil, fmt.Errorf("packing %q is unknown", pack)
}

// decode reads a log entry. Fields that the command does not know are ignored:
// the cluster level keeps a newer meaning away from an older server. The
// envelope comes with an unknownError too.
func decode(entry []byte) (envelope, Command, error) {
	env, body, err := open(entry)
	if err != nil {
		return envelope{}, nil, err
	}
	cmd := newCommand(env.Type)
	if cmd == nil {
		return env, nil, &unknownError{fmt.Sprintf("it holds command type %d of cluster level %d", env.Type, env.Level)}
	}
	if body, err = unpack(env.Pack, body); err == nil {
		err = json.Unmarshal(body, cmd)
	}
	if err != nil {
		return envelope{}, nil, api.Errorf(api.CodeInvalid, "read command %d: %v", env.Type, err)
	}
	return env, cmd, nil
}

// open splits an entry into its envelope and its body.
func open(entry []byte) (envelope, []byte, error) {
	head, body, packed := bytes.Cut(entry, []byte{'\n'})
	var env envelope
	if err := json.Unmarshal(head, &env); err != nil {
		// An entry of level 1 may have been written with line breaks in it.
		if json.Unmarshal(entry, &env) != nil {
			return envelope{}, nil, api.Errorf(api.CodeInvalid, "read command: %v", err)
		}
		packed = false
	}
	if env.Type == 0 {
		return envelope{}, nil, api.Errorf(api.CodeInvalid, "read command: it has no type")
	}
	if !packed {
		body = env.Body
	}
	env.Body = nil
	return env, body, nil
}
