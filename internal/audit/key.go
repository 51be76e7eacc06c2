package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oakumhq/oakum/internal/durable"
)

// keyLength is that of an HMAC-SHA256 key, in bytes.
const keyLength = 32

// NewKey returns a key that nobody keeps.
func NewKey() []byte {
	key := make([]byte, keyLength)
	_, _ = rand.Read(key) // it never fails
	return key
}

// Key reads the server's key, and makes one when there is none yet. Only the agent's user
// may read the file.
func Key(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err == nil && len(key) != keyLength {
		err = fmt.Errorf("%s: %d bytes, want %d", path, len(key), keyLength)
	}
	if err != nil {
		return nil, fmt.Errorf("read audit key: %w", err)
	}
	return key, nil
}

// makeKey writes a new key, whole or not at all. It is the first that a new server keeps,
// so its folder may not be there yet.
func makeKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make audit key: %w", err)
	}
	key := NewKey()
	if err := durable.WriteFile(path, key); err != nil {
		return nil, fmt.Errorf("make audit key: %w", err)
	}
	return key, nil
}
