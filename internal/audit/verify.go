package audit

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// File is a part of a log.
type File struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// Fault is the first line of a log that isn't as it was written. Line counts from 1.
type Fault struct {
	File   string
	Line   int
	Reason string
}

func (f *Fault) Error() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Reason) }

// Report is what a verification has read.
type Report struct {
	Entries uint64 `json:"entries"`
	First   uint64 `json:"first"` // 1, unless the log is partial
	Last    uint64 `json:"last"`
	Missed  uint64 `json:"missed"` // entries that the device did not take when they were recorded
	Head    string `json:"head"`   // the hash of the last entry
}

// Known is what is known of a log from elsewhere.
type Known struct {
	Head    string // the hash of an entry that must be there; "" when none is known
	Partial bool   // the oldest files are not kept, so it begins with a later entry than the first
}

// Verify reads the files of one log, in the order of their entries whatever the order of
// files is. It returns a *Fault for the first line that was altered, removed, moved or
// cut. What was removed at the very end shows only by a known head, and what was removed
// at the beginning of a partial log does not show.
func Verify(files []File, known Known) (Report, error) {
	parts := make([]part, 0, len(files))
	for _, f := range files {
		first, err := firstOf(f)
		if err != nil {
			return Report{}, err
		}
		parts = append(parts, part{f, first})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.first, b.first) })
	v := verifier{Known: known}
	for _, p := range parts {
		if err := v.file(p.file); err != nil {
			return v.report, err
		}
	}
	switch {
	case v.report.Entries == 0:
		return v.report, &Fault{File: v.at.File, Line: 1, Reason: "empty: there is no entry"}
	case known.Head != "" && !v.seen:
		v.at.Reason = "the log ends here, and no entry has the hash that is known: entries were removed after this one"
		return v.report, &v.at
	}
	return v.report, nil
}

// part is a file with the sequence number of its first entry.
type part struct {
	file  File
	first uint64
}

// firstOf is the sequence number of the first entry of a file, 0 where its first line is
// none: the verification finds that.
func firstOf(f File) (uint64, error) {
	var first uint64
	err := eachLine(f, func(_ int, line []byte, _ bool) error {
		if e, _, err := Open(line); err == nil {
			first = e.Sequence
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return first, err
}

// errEnough ends a reading early.
var errEnough = errors.New("enough")

// verifier walks through the lines of a log.
type verifier struct {
	Known
	chain  Chain
	seen   bool  // an entry has the known hash
	at     Fault // where it is, without a reason
	report Report
}

func (v *verifier) file(f File) error {
	v.at = Fault{File: f.Name}
	return eachLine(f, func(n int, line []byte, whole bool) error {
		v.at.Line = n
		if err := v.line(line, whole); err != nil {
			return &Fault{File: f.Name, Line: n, Reason: err.Error()}
		}
		return nil
	})
}

func (v *verifier) line(line []byte, whole bool) error {
	if !whole {
		return errors.New("cut: the line has no end")
	}
	e, next, err := Open(line)
	if err != nil {
		return err
	}
	if v.Partial && v.report.Entries == 0 && e.Sequence > 1 {
		v.chain = Chain{Sequence: e.Sequence - 1, Head: e.Previous}
	}
	if err := v.chain.Follow(e); err != nil {
		return err
	}
	if v.report.Entries == 0 {
		v.report.First = e.Sequence
	}
	v.chain = next
	v.seen = v.seen || next.Head == v.Head
	v.report.Entries++
	v.report.Missed += e.Missed
	v.report.Last, v.report.Head = next.Sequence, next.Head
	return nil
}

// eachLine calls do for every line of a file, without its line break. whole is false for
// a last line that has none.
func eachLine(f File, do func(n int, line []byte, whole bool) error) error {
	in, err := f.Open()
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, lineMax+1)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		switch {
		case err == nil:
			if err := do(n, line[:len(line)-1], true); err != nil {
				return err
			}
		case errors.Is(err, bufio.ErrBufferFull):
			return &Fault{File: f.Name, Line: n, Reason: fmt.Sprintf("no entry of an audit log: longer than %d bytes", lineMax)}
		case errors.Is(err, io.EOF):
			if len(line) == 0 {
				return nil
			}
			return do(n, line, false)
		default:
			return fmt.Errorf("read audit log %s: %w", f.Name, err)
		}
	}
}
