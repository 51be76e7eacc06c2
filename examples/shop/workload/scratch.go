package workload

import (
	"fmt"
	"os"
	"sync"
)

// scratchMost is where writing begins again at the start of the file: an image
// of 64 MiB has room for it.
const scratchMost = 4 << 20

// scratch is a file that the disk fault writes to. It is made at the first
// write and has no name, so that it goes with the process.
type scratch struct {
	folder string

	mu   sync.Mutex
	file *os.File
	next int64
}

// write puts that many bytes onto the disk and returns once they are there.
func (s *scratch) write(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		file, err := os.CreateTemp(s.folder, "scratch-")
		if err != nil {
			return fmt.Errorf("make scratch file: %w", err)
		}
		s.file = file
		if err := os.Remove(file.Name()); err != nil {
			return fmt.Errorf("hide scratch file: %w", err)
		}
	}
	if s.next+size > scratchMost {
		s.next = 0
	}
	if _, err := s.file.WriteAt(make([]byte, size), s.next); err != nil {
		return fmt.Errorf("write scratch file: %w", err)
	}
	s.next += size
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync scratch file: %w", err)
	}
	return nil
}

func (s *scratch) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close scratch file: %w", err)
	}
	s.file = nil
	return nil
}
