package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// FileDevice appends to a file, which it syncs before it answers. When the file has
// RotateBytes it is renamed to its own name with the number of its last entry, and the
// chain goes on in a new file.
type FileDevice struct {
	Path        string
	RotateBytes int64 // 0 never rotates
	RotateKeep  int   // rotated files that are kept; 0 keeps all
}

func (d FileDevice) name() string { return "file " + d.Path }

// fileMode lets only the agent's user read the log.
const fileMode = 0o600

// file is an open FileDevice.
type file struct {
	FileDevice
	f    *os.File
	size int64 // of what was taken
	last Chain // in it, or before it
	part bool  // a write failed, and left part of its lines
}

var _ sink = (*file)(nil)

func (d FileDevice) open() (sink, Chain, int64, error) {
	s := &file{FileDevice: d}
	if err := s.reopen(); err != nil {
		return nil, Chain{}, 0, err
	}
	end, size, torn, err := tail(s.f)
	if err == nil && end == (Chain{}) {
		end, err = s.former()
	}
	if err == nil && torn > 0 {
		err = s.f.Truncate(size)
	}
	if err != nil {
		return nil, Chain{}, 0, errors.Join(err, s.f.Close())
	}
	s.size, s.last = size, end
	return s, end, torn, nil
}

// reopen opens the file at the path, and keeps other processes from it.
func (s *file) reopen() error {
	f, err := os.OpenFile(s.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a descriptor
		return errors.Join(fmt.Errorf("%s: another process writes to it: %w", s.Path, err), f.Close())
	}
	dir, err := os.Open(filepath.Dir(s.Path))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	err = errors.Join(dir.Sync(), dir.Close()) // a new name lasts only with its folder
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.f = f
	return nil
}

// tail reads the last entry of a file. size is where it ends, and torn what follows.
func tail(f *os.File) (end Chain, size, torn int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return Chain{}, 0, 0, err
	}
	from := max(info.Size()-2*lineMax, 0)
	text := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
		return Chain{}, 0, 0, err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	torn = int64(len(text) - whole)
	size = info.Size() - torn
	if whole == 0 {
		if from > 0 {
			return Chain{}, 0, 0, fmt.Errorf("%s: its end is no audit log; move it away", f.Name())
		}
		return Chain{}, size, torn, nil
	}
	line := text[:whole-1]
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	if _, end, err = Open(line); err != nil {
		return Chain{}, 0, 0, fmt.Errorf("%s: last line: %w; verify the log, keep it as evidence, and move it away", f.Name(), err)
	}
	return end, size, torn, nil
}

// rotated lists the files that were rotated, oldest first.
func (s *file) rotated() ([]string, error) {
	names, err := filepath.Glob(globbed(s.Path) + "." + digits)
	slices.Sort(names)
	return names, err
}

// digits is the number of a rotated file's last entry as a pattern, in sequenceFormat.
const (
	digits         = "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"
	sequenceFormat = "%012d"
)

// globbed is a path as a pattern that only it matches.
func globbed(path string) string {
	var out []byte
	for _, b := range []byte(path) {
		if bytes.IndexByte([]byte(`*?[\`), b) >= 0 {
			out = append(out, '\\')
		}
		out = append(out, b)
	}
	return string(out)
}

// former is the end of the newest rotated file, the zero chain when there is none.
func (s *file) former() (Chain, error) {
	names, err := s.rotated()
	if err != nil || len(names) == 0 {
		return Chain{}, err
	}
	f, err := os.Open(names[len(names)-1])
	if err != nil {
		return Chain{}, err
	}
	end, _, _, err := tail(f)
	return end, errors.Join(err, f.Close())
}

// write appends lines and syncs them. After an error nothing of them is left, or is cut
// off before the next lines.
func (s *file) write(lines []byte, last Chain) error {
	if err := s.present(); err != nil {
		return err
	}
	if s.RotateBytes > 0 && s.size > 0 && s.size+int64(len(lines)) > s.RotateBytes {
		if err := s.rotate(); err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
	}
	_, err := s.f.Write(lines)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		s.part = true
		return errors.Join(err, s.cut())
	}
	s.size, s.last = s.size+int64(len(lines)), last
	return nil
}

// present makes sure that the file at the path is the one that is open, and ends with what
// was taken. One that somebody has moved away is followed by a new one.
func (s *file) present() error {
	open, err := s.f.Stat()
	if err != nil {
		return err
	}
	at, err := os.Stat(s.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !os.SameFile(open, at) {
		return s.renew()
	}
	switch {
	case open.Size() < s.size:
		return fmt.Errorf("%s: it was cut to %d bytes, and had %d; keep it as evidence, and move it away", s.Path, open.Size(), s.size)
	case s.part:
		return s.cut()
	case open.Size() > s.size:
		return fmt.Errorf("%s: somebody else wrote to it; keep it as evidence, and move it away", s.Path)
	}
	return nil
}

// cut removes what a write that failed has left.
func (s *file) cut() error {
	err := s.f.Truncate(s.size)
	s.part = s.part && err != nil
	return err
}

// renew goes on in the file at the path, which must be new.
func (s *file) renew() error {
	former := s.f
	if err := s.reopen(); err != nil {
		return err
	}
	info, err := s.f.Stat()
	if err == nil && info.Size() > 0 {
		err = fmt.Errorf("%s: it was replaced by a file that is not empty; move it away", s.Path)
	}
	if err != nil {
		err = errors.Join(err, s.f.Close())
		s.f = former
		return err
	}
	s.size, s.part = 0, false
	return former.Close()
}

// rotate renames the file and begins a new one, then removes what is too old. What can't
// be removed now is tried again at the next rotation.
func (s *file) rotate() error {
	if err := os.Rename(s.Path, s.Path+"."+fmt.Sprintf(sequenceFormat, s.last.Sequence)); err != nil {
		return err
	}
	if err := s.renew(); err != nil {
		return err
	}
	names, err := s.rotated()
	if err != nil || s.RotateKeep <= 0 || len(names) <= s.RotateKeep {
		return err
	}
	for _, name := range names[:len(names)-s.RotateKeep] {
		_ = os.Remove(name) // the entries at hand matter more
	}
	return nil
}

func (s *file) close() error { return s.f.Close() }
