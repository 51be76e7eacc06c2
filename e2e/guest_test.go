//go:build e2e

package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/wait"
)

// guest is QEMU's guest agent of a machine that Nomad runs with guest_agent = true. It is
// asked over its socket, and not through anything of Oakum's.
type guest struct {
	t       *testing.T
	conn    net.Conn
	answers *bufio.Scanner
}

// inGuest runs a program in a job's only machine, once its agent answers, and returns what
// the program printed. It must end well.
func (o *oakum) inGuest(job, program string, args ...string) string {
	o.t.Helper()
	g := o.guestOf(job)
	defer g.conn.Close() //nolint:errcheck // the agent serves one caller at a time, and the machine may be gone
	return g.run(program, args...)
}

// guestOf connects with the agent of a job's only machine, and waits until it answers.
func (o *oakum) guestOf(job string) *guest {
	o.t.Helper()
	var machine string
	eventually(o.t, "one machine of "+job+" runs", 2*time.Minute, func() bool {
		allocs, _, err := o.vendor.Jobs().Allocations(job, false, nil)
		n := 0
		for _, a := range allocs {
			if a.ClientStatus == "running" && a.DesiredStatus == "run" {
				n, machine = n+1, a.ID
			}
		}
		return err == nil && n == 1
	})
	socket := filepath.Join(sharedStack(o.t).Dir, "data", "nomad-client-1", "alloc", machine, "vm", "qa.sock")
	g := &guest{t: o.t}
	eventually(o.t, "the machine of "+job+" has its agent's socket", time.Minute, func() bool {
		var err error
		g.conn, err = (&net.Dialer{}).DialContext(o.t.Context(), "unix", socket)
		return err == nil
	})
	g.answers = bufio.NewScanner(g.conn)
	g.answers.Buffer(nil, 4<<20)
	must.NoError(o.t, g.conn.SetDeadline(time.Now().Add(longest)))
	var id int64
	g.ask("guest-sync", map[string]any{"id": 4740}, &id)
	must.EqOp(o.t, 4740, id)
	return g
}

// ask sends one request and reads its answer.
func (g *guest) ask(execute string, arguments map[string]any, into any) {
	g.t.Helper()
	request, err := json.Marshal(map[string]any{"execute": execute, "arguments": arguments})
	must.NoError(g.t, err)
	_, err = fmt.Fprintf(g.conn, "%s\n", request)
	must.NoError(g.t, err)
	must.True(g.t, g.answers.Scan(), must.Sprint(execute, g.answers.Err()))
	var answer struct {
		Return json.RawMessage `json:"return"`
		Error  json.RawMessage `json:"error"`
	}
	must.NoError(g.t, json.Unmarshal(g.answers.Bytes(), &answer), must.Sprint(g.answers.Text()))
	must.Eq(g.t, "", string(answer.Error))
	must.NoError(g.t, json.Unmarshal(answer.Return, into))
}

// run runs a program in the machine.
func (g *guest) run(program string, args ...string) string {
	g.t.Helper()
	var started struct {
		PID int `json:"pid"`
	}
	g.ask("guest-exec", map[string]any{"path": program, "arg": args, "capture-output": true}, &started)
	var ended struct {
		Exited bool   `json:"exited"`
		Code   int    `json:"exitcode"`
		Out    string `json:"out-data"`
		Err    string `json:"err-data"`
	}
	wait.Within(g.t, longest, func() string { return program + " ends in the machine" }, func() bool {
		g.ask("guest-exec-status", map[string]any{"pid": started.PID}, &ended)
		return ended.Exited
	})
	out, err := base64.StdEncoding.DecodeString(ended.Out)
	must.NoError(g.t, err)
	complaint, err := base64.StdEncoding.DecodeString(ended.Err)
	must.NoError(g.t, err)
	must.EqOp(g.t, 0, ended.Code, must.Sprint(program, args, string(complaint)))
	return string(out)
}
