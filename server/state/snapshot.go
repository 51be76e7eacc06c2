package state

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-memdb"
	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// snapshotFormat is raised when a reader of the former format could not read a
// snapshot any more.
const snapshotFormat = 1

// snapshotKind distinguishes a snapshot from any other file of JSON lines.
const snapshotKind = "oakum-state"

// header is the first line of a snapshot.
type header struct {
	Kind   string `json:"kind"`
	Format int    `json:"format"`
	Level  int    `json:"level"`
	Index  uint64 `json:"index"`
}

// line is every further one: a row, or at the end the count and hash of the
// rows, by which a snapshot that was cut off or changed is found out.
type line struct {
	Table string          `json:"table,omitempty"`
	Row   json.RawMessage `json:"row,omitempty"`
	Rows  int             `json:"rows,omitempty"`
	Hash  string          `json:"hash,omitempty"`
}

// SnapshotInfo describes a snapshot that was read.
type SnapshotInfo struct {
	Format int            `json:"format"`
	Level  int            `json:"level"`
	Index  uint64         `json:"index"`
	Hash   string         `json:"hash"`
	Rows   map[string]int `json:"rows"` // by table
}

// snapshot is the state at one moment.
type snapshot struct {
	t    tables
	txn  *memdb.Txn
	meta *meta
}

var _ raft.FSMSnapshot = (*snapshot)(nil)

// Persist writes the snapshot to Raft's sink.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.write(sink); err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("close snapshot: %w", err)
	}
	return nil
}

// Release has nothing to do: the garbage collector takes the transaction.
func (s *snapshot) Release() {}

// write writes the header, the rows and the trailer, one to a line.
func (s *snapshot) write(to io.Writer) error {
	out := bufio.NewWriterSize(to, 64<<10)
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(header{Kind: snapshotKind, Format: snapshotFormat, Level: s.meta.Level, Index: s.meta.Index}); err != nil {
		return err
	}
	digest := sha256.New()
	rows, err := s.rows(io.MultiWriter(out, digest))
	if err != nil {
		return err
	}
	if err := encoder.Encode(line{Rows: rows, Hash: hex.EncodeToString(digest.Sum(nil))}); err != nil {
		return err
	}
	return out.Flush()
}

// rows writes every row of every table in a fixed order.
func (s *snapshot) rows(to io.Writer) (int, error) {
	w := &rowWriter{to: to}
	w.encoder = json.NewEncoder(&w.line)
	w.row(metaTable, s.meta)
	writeRows(w, s.txn, s.t.policies)
	writeRows(w, s.txn, s.t.histories)
	writeRows(w, s.txn, s.t.patches)
	writeRows(w, s.txn, s.t.plans)
	writeRows(w, s.txn, s.t.rollouts)
	writeRows(w, s.txn, s.t.simulations)
	writeRows(w, s.txn, s.t.edges)
	writeRows(w, s.txn, s.t.services)
	writeRows(w, s.txn, s.t.targets)
	writeRows(w, s.txn, s.t.sources)
	writeRows(w, s.txn, s.t.profiles)
	writeRows(w, s.txn, s.t.quarantines)
	writeRows(w, s.txn, s.t.inventories)
	writeRows(w, s.txn, s.t.pieces)
	writeRows(w, s.txn, s.t.readings)
	writeRows(w, s.txn, s.t.marks)
	writeRows(w, s.txn, s.t.events)
	return w.count, w.err
}

// rowWriter remembers the first error, after which it writes nothing more.
type rowWriter struct {
	to      io.Writer
	line    bytes.Buffer
	encoder *json.Encoder // into line
	count   int
	err     error
}

// Around the row of a line, as encoding/json writes it.
const (
	beforeTable = `{"table":"`
	beforeRow   = `","row":`
	afterRow    = "}\n"
)

// row encodes a row into its line at once; as a part of a line it would be read
// and written twice.
func (w *rowWriter) row(table string, value any) {
	if w.err != nil {
		return
	}
	w.line.Reset()
	w.line.WriteString(beforeTable + table + beforeRow)
	if w.err = w.encoder.Encode(value); w.err == nil {
		w.line.Truncate(w.line.Len() - 1) // the line break of the row
		w.line.WriteString(afterRow)
		_, w.err = w.to.Write(w.line.Bytes())
		w.count++
	}
}

func writeRows[T any](w *rowWriter, txn *memdb.Txn, t table[T]) {
	for value := range t.all(txn) {
		w.row(t.name, value)
	}
}

// readLine undoes writeRows. What does not look like it is read as JSON.
func readLine(text []byte) (line, error) {
	if rest, ok := bytes.CutPrefix(text, []byte(beforeTable)); ok {
		table, row, found := bytes.Cut(rest, []byte(beforeRow))
		row, ended := bytes.CutSuffix(row, []byte(afterRow))
		if found && ended && !bytes.ContainsAny(table, `\"`) {
			return line{Table: string(table), Row: row}, nil
		}
	}
	var l line
	err := json.Unmarshal(text, &l)
	return l, err
}

// Snapshot writes the whole state to w as JSON lines.
func (s *Store) Snapshot(w io.Writer) error {
	if err := s.snapshot().write(w); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// snapshot is the state as it is now.
func (s *Store) snapshot() *snapshot {
	txn, m := s.now()
	return &snapshot{t: s.t, txn: txn, meta: m}
}

// Hash is the SHA-256 of all rows in a fixed order. Servers that applied the
// log up to the same index have the same.
func (s *Store) Hash() string {
	digest := sha256.New()
	if _, err := s.snapshot().rows(digest); err != nil {
		panic(fmt.Sprintf("state: hash: %v", err)) //nolint:forbidigo // rows came out of JSON, so they go back into it
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// Restore replaces the whole state by a snapshot and wakes everybody who
// watches. A snapshot with an error changes nothing.
func (s *Store) Restore(from io.Reader) error {
	db, m, _, err := s.t.load(from)
	if err != nil {
		return err
	}
	s.replace(db, m)
	s.watchers.wake(nil)
	return nil
}

// Inspect reads a snapshot through, checks it and describes it.
func Inspect(from io.Reader) (SnapshotInfo, error) {
	_, _, info, err := newTables().load(from)
	return info, err
}

// Peek reads no further than a snapshot's first line: its format, level and
// index. They may be beyond what this program can restore.
func Peek(from io.Reader) (SnapshotInfo, error) {
	var head header
	text, err := bufio.NewReader(io.LimitReader(from, 64<<10)).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err != nil || head.Kind != snapshotKind {
		return SnapshotInfo{}, api.Errorf(api.CodeInvalid, "read snapshot: this is not a snapshot of Oakum's state")
	}
	return SnapshotInfo{Format: head.Format, Level: head.Level, Index: head.Index}, nil
}

// load reads a snapshot into a fresh database, with the description of the state.
func (t tables) load(from io.Reader) (*memdb.MemDB, *meta, SnapshotInfo, error) {
	lines := bufio.NewReaderSize(from, 64<<10)
	var head header
	text, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err != nil || head.Kind != snapshotKind {
		return nil, nil, SnapshotInfo{}, api.Errorf(api.CodeInvalid, "read snapshot: this is not a snapshot of Oakum's state")
	}
	if head.Format < 1 || head.Format > snapshotFormat {
		return nil, nil, SnapshotInfo{}, api.Errorf(api.CodeInvalid, "read snapshot: it has format %d, this server knows up to %d", head.Format, snapshotFormat)
	}
	if head.Level > levels.Supported {
		return nil, nil, SnapshotInfo{}, api.Errorf(api.CodeInvalid, "read snapshot: it is of cluster level %d, and this server knows up to %d: use a newer version of it", head.Level, levels.Supported)
	}
	info := SnapshotInfo{Format: head.Format, Level: head.Level, Index: head.Index, Rows: map[string]int{}}
	db, m := t.open(), newMeta()
	txn := db.Txn(true)
	defer txn.Abort() // does nothing after Commit
	digest := sha256.New()
	for count := 0; ; count++ {
		text, err := lines.ReadBytes('\n')
		var l line
		if err == nil {
			l, err = readLine(text)
		}
		if err != nil {
			return nil, nil, SnapshotInfo{}, api.Errorf(api.CodeInvalid, "read snapshot: it ends or breaks after %d rows: %v", count, err)
		}
		if l.Table == "" {
			info.Hash = hex.EncodeToString(digest.Sum(nil))
			if l.Rows != count || l.Hash != info.Hash {
				return nil, nil, SnapshotInfo{}, api.Errorf(api.CodeInvalid, "read snapshot: %d rows do not add up to the hash that it was written with", count)
			}
			break
		}
		digest.Write(text) // a hash never fails
		if l.Table == metaTable {
			m = new(meta)
			err = json.Unmarshal(l.Row, m)
		} else {
			err = t.loadRow(txn, l)
		}
		if err != nil {
			return nil, nil, SnapshotInfo{}, api.Errorf(api.CodeInvalid, "read snapshot: row %d: %v", count+1, err)
		}
		info.Rows[l.Table]++
	}
	txn.Commit()
	return db, m, info, nil
}

// loadRow puts one row into its table.
func (t tables) loadRow(txn *memdb.Txn, l line) error {
	switch l.Table {
	case t.policies.name:
		return loadInto(txn, t.policies, l.Row)
	case t.histories.name:
		return loadInto(txn, t.histories, l.Row)
	case t.patches.name:
		return loadInto(txn, t.patches, l.Row)
	case t.plans.name:
		return loadInto(txn, t.plans, l.Row)
	case t.rollouts.name:
		return loadInto(txn, t.rollouts, l.Row)
	case t.simulations.name:
		return loadInto(txn, t.simulations, l.Row)
	case t.edges.name:
		return loadInto(txn, t.edges, l.Row)
	case t.services.name:
		return loadInto(txn, t.services, l.Row)
	case t.targets.name:
		return loadInto(txn, t.targets, l.Row)
	case t.sources.name:
		return loadInto(txn, t.sources, l.Row)
	case t.profiles.name:
		return loadInto(txn, t.profiles, l.Row)
	case t.quarantines.name:
		return loadInto(txn, t.quarantines, l.Row)
	case t.inventories.name:
		return loadInto(txn, t.inventories, l.Row)
	case t.pieces.name:
		return loadInto(txn, t.pieces, l.Row)
	case t.readings.name:
		return loadInto(txn, t.readings, l.Row)
	case t.marks.name:
		return loadInto(txn, t.marks, l.Row)
	case t.events.name:
		return loadInto(txn, t.events, l.Row)
	}
	return fmt.Errorf("table %q is unknown", l.Table)
}

func loadInto[T any](txn *memdb.Txn, t table[T], raw json.RawMessage) error {
	value := new(T)
	if err := json.Unmarshal(raw, value); err != nil {
		return err
	}
	t.put(txn, value)
	return nil
}
