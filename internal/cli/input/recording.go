package input

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// harMax bounds a HAR file that is read. Browsers put all answers into it.
	harMax = 256 << 20
	// logLineMax bounds a line of an access log.
	logLineMax = 1 << 20
	// peekMax is how much of a file shows whether it is a HAR file.
	peekMax = 512
)

// Workload reads a workload's file.
func Workload(path string) (workload.Workload, error) {
	text, err := Limited(path)
	if err != nil {
		return workload.Workload{}, err
	}
	return workload.Parse(path, []byte(text))
}

// Recording adds the requests of an access log or a HAR file to a tally. The path
// "-" is standard input. It returns what to say of the lines that are no requests, or "".
func Recording(ctx context.Context, t *workload.Tally, path string, stdin io.Reader) (others string, err error) {
	name, from := "standard input", stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", api.Errorf(api.CodeInvalid, "read file: %s", Cause(err))
		}
		defer file.Close() //nolint:errcheck // it is only read
		name, from = path, file
	}
	buffered := bufio.NewReader(from)
	begin, err := buffered.Peek(peekMax)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", api.Errorf(api.CodeInvalid, "read file: %s", Cause(err))
	case bytes.HasPrefix(begin, []byte("\x1f\x8b")):
		return "", api.Errorf(api.CodeInvalid, "%s: it is compressed: zcat FILE | oakum workload record", name)
	case !workload.IsHAR(begin):
		return accessLog(ctx, t, name, buffered)
	}
	data, err := io.ReadAll(io.LimitReader(buffered, harMax+1))
	switch {
	case err != nil:
		return "", api.Errorf(api.CodeInvalid, "read %s: %s", name, Cause(err))
	case len(data) > harMax:
		return "", api.Errorf(api.CodeInvalid, "%s: larger than %d MiB", name, harMax>>20)
	}
	return "", t.AddHAR(name, data)
}

// accessLog reads an access log. Lines that are no requests are in any log, and more than
// half of a file only if it is something else.
func accessLog(ctx context.Context, t *workload.Tally, name string, from io.Reader) (string, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, logLineMax)
	n, others, first := 0, 0, ""
	for lines.Scan() {
		if n++; ctx.Err() != nil {
			return "", fmt.Errorf("read %s: %w", name, ctx.Err())
		}
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		o, err := workload.ParseLogLine(string(text))
		if err == nil {
			t.Add(o)
			continue
		}
		if others++; others == 1 {
			first = fmt.Sprintf("%s:%d: %v", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return "", api.Errorf(api.CodeInvalid, "%s:%d: %s", name, n+1, Cause(err))
	}
	if others > n-others {
		return "", api.Errorf(api.CodeInvalid, "%s: %d of %s are requests; the first other one is %s", name, n-others, view.Count(n, "line"), first)
	}
	if others > 0 {
		return fmt.Sprintf("%d of %s are no requests; the first is %s", others, view.Count(n, "line"), first), nil
	}
	return "", nil
}
