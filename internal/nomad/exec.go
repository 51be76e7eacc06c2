package nomad

import (
	"context"
	"fmt"
	"strings"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// execOutputMax is how many bytes are kept of the end of a command's output.
const execOutputMax = 4 << 10

// Exec runs a command in a task of an allocation, as `nomad alloc exec` does. It returns
// the end of its output, at most 4 KiB of both streams, and its status. An error means
// that nothing is known of the command.
func (c *Client) Exec(ctx context.Context, namespace, allocID, task string, command []string) (output string, status int, err error) {
	var out tail
	// Without a node ID the call goes through the servers: the way to the node itself
	// leaves its connection open.
	alloc := &nomadapi.Allocation{ID: allocID, Namespace: namespace}
	status, err = c.api.Allocations().Exec(ctx, alloc, task, false, command, strings.NewReader(""), &out, &out, nil, c.Query(ctx, namespace))
	switch {
	case ctx.Err() != nil:
		return "", 0, fmt.Errorf("run a command in allocation %s: %w", allocID, context.Cause(ctx))
	case err != nil:
		return "", 0, api.Errorf(api.CodeUnavailable, "run a command in allocation %s: %v", allocID, err)
	}
	return out.String(), status, nil
}

// tail keeps the end of what is written to it. Both streams of a command write to it.
type tail struct {
	mu  sync.Mutex
	end []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p...)
	if n := len(t.end) - execOutputMax; n > 0 {
		t.end = append(t.end[:0], t.end[n:]...)
	}
	return len(p), nil
}

// String is what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.end), "?")
}
