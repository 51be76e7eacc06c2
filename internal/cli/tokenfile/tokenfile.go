// Package tokenfile keeps the tokens of `oakum login` in a file of the user: one for each
// address of a server, so that a token goes nowhere but where it was meant for.
package tokenfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/durable"
)

// Env names the file in place of the usual one.
const Env = "OAKUM_TOKEN_FILE"

// name is the file's name in the user's home.
const name = ".oakum-tokens"

// sizeMax is how much of the file is read, in bytes.
const sizeMax = 1 << 20

// File is a file of tokens.
type File string

// Entry is the token for one server.
type Entry struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires,omitzero"` // zero for never
}

// Of is the file that the environment names; empty where there is neither a name nor a
// home.
func Of(getenv func(string) string) File {
	if path := getenv(Env); path != "" {
		return File(path)
	}
	if home := getenv("HOME"); home != "" {
		return File(filepath.Join(home, name))
	}
	return ""
}

// Read returns the token for an address; an empty one when there is none, and when it has
// expired. A file that others may read or write is refused.
func (f File) Read(address string, now time.Time) (Entry, error) {
	all, err := f.all()
	if err != nil {
		return Entry{}, err
	}
	entry := all[address]
	if !entry.Expires.IsZero() && !now.Before(entry.Expires) {
		return Entry{}, nil
	}
	return entry, nil
}

// Write keeps the token for an address. An empty token forgets it. The file gets mode 0600,
// and is whole at every moment.
func (f File) Write(address string, entry Entry) error {
	if f == "" {
		return api.Errorf(api.CodeInvalid, "no file for tokens: want HOME or %s", Env)
	}
	all, err := f.all()
	if err != nil {
		return err
	}
	if entry.Token == "" {
		delete(all, address)
	} else {
		all[address] = entry
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	return durable.WriteFile(string(f), append(text, '\n'))
}

func (f File) all() (map[string]Entry, error) {
	all := map[string]Entry{}
	if f == "" {
		return all, nil
	}
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()            // of what is read, whatever the name leads to by then
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, api.Errorf(api.CodeInvalid, "%s can be read or written by others (mode %04o): chmod 600 %s", f, info.Mode().Perm(), f)
	}
	text, err := io.ReadAll(io.LimitReader(file, sizeMax))
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%s is no file of tokens (%v): remove it, and log in again", f, err)
	}
	if all == nil { // the file says null
		all = map[string]Entry{}
	}
	return all, nil
}
