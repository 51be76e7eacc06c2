package operating

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// snapshotInfo is what a snapshot file says about itself, and what was counted.
type snapshotInfo struct {
	Kind   string         `json:"kind"`
	Format int            `json:"format"`
	Level  int            `json:"level"`
	Index  uint64         `json:"index"`
	Hash   string         `json:"hash"`
	Rows   map[string]int `json:"rows"`
}

func snapshotInspect(e *command.Env) *command.Command {
	c := command.New("operator snapshot inspect", command.One("FILE"), "Check a snapshot and show what is in it", `
Reads a snapshot file, checks that it is complete and unchanged, and counts what
it holds. It works offline.`).Prints()
	c.Run = func(_ context.Context, args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return api.Errorf(api.CodeInvalid, "read file: %s", input.Cause(err))
		}
		defer f.Close() //nolint:errcheck // it is only read
		info, err := inspect(f)
		if err != nil {
			return api.Errorf(api.CodeInvalid, "%s: %v", args[0], err)
		}
		return e.Show(c.Out, info, func(w io.Writer) {
			view.Fields(w, "Index", fmt.Sprint(info.Index), "Level", fmt.Sprint(info.Level), "Format", fmt.Sprint(info.Format),
				"Hash", info.Hash)
			fmt.Fprintln(w)
			names := make([]string, 0, len(info.Rows))
			for name := range info.Rows {
				names = append(names, name)
			}
			slices.Sort(names)
			t := view.NewTable("Table", "Rows")
			for _, name := range names {
				t.Add(name, fmt.Sprint(info.Rows[name]))
			}
			t.Print(w, "")
		})
	}
	return c
}

// inspect reads the lines of a snapshot: a header, rows, and a trailer with
// the number and the hash of the rows.
func inspect(r io.Reader) (snapshotInfo, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	info := snapshotInfo{Rows: map[string]int{}}
	first, err := in.ReadBytes('\n')
	if err != nil || json.Unmarshal(first, &info) != nil || info.Kind != "oakum-state" {
		return info, errors.New("this is no snapshot of Oakum")
	}
	digest := sha256.New()
	rows := 0
	for {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return info, fmt.Errorf("cut off after %d rows", rows)
		}
		if err != nil {
			return info, err
		}
		var line struct {
			Table string `json:"table"`
			Rows  int    `json:"rows"`
			Hash  string `json:"hash"`
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return info, fmt.Errorf("row %d: %w", rows+1, err)
		}
		if line.Table != "" {
			digest.Write(text)
			info.Rows[line.Table]++
			rows++
			continue
		}
		info.Hash = hex.EncodeToString(digest.Sum(nil))
		if line.Rows != rows || line.Hash != info.Hash {
			return info, errors.New("the rows were changed: their hash is not the one that was written")
		}
		return info, nil
	}
}
