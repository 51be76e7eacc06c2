// Package guestagent speaks with QEMU's guest agent, which runs commands in a machine for
// who is outside of it. It makes the requests, and the script that sends them on the
// node, and it reads the answers. All of an answer is the guest's word.
package guestagent

import (
	_ "embed" // the script that runs on the node
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// PortName is the name by which an agent finds its serial port.
	PortName = "org.qemu.guest_agent.0"
	// AnswersMax is how many bytes of answers are kept. A command's are some 6 KiB for
	// its output and 35 bytes for each second that it takes.
	AnswersMax = 256 << 10

	// outputMax is how many bytes are kept of the end of a command's output.
	outputMax = 4 << 10
	// requestMax bounds a request in bytes. A FIFO of Linux takes 64 KiB before anybody
	// reads, so that no request of the script waits for the guest.
	requestMax = 32 << 10
	// looks is how often is looked for an answer, five times a second.
	looks = 75
	// ends is how often is asked whether a command has ended, once a second.
	ends = 120
	// syncID is what the agent repeats to the first request.
	syncID = 79627
)

//go:embed ask.sh
var script string

// inGuest runs a command and prints the end of both its streams, and ends as it does.
// The guest keeps no more of them, however much the command says.
const inGuest = `exec 4>&1
status=$({ { /bin/sh -c "$1" 2>&1 3>&- 4>&-; echo $? >&3; } | tail -c 4096 >&4; } 3>&1)
exit "$status"`

// request is one of QEMU's requests in JSON.
type request struct {
	Execute   string         `json:"execute"`
	Arguments map[string]any `json:"arguments"`
}

// Arguments are those of a shell that asks the agent behind two FIFOs, once it gets
// SIGHUP, to run commands one after the other. The answers come into a file. The error
// has code invalid when a command is too long.
func Arguments(fifos, file string, commands []string) ([]string, error) {
	requests := []request{{Execute: "guest-sync", Arguments: map[string]any{"id": syncID}}}
	for _, command := range commands {
		requests = append(requests, request{Execute: "guest-exec", Arguments: map[string]any{
			"path": "/bin/sh", "arg": []string{"-c", inGuest, "oakum", command}, "capture-output": true,
		}})
	}
	args := []string{"-c", script, "oakum", fifos, file, strconv.Itoa(AnswersMax), strconv.Itoa(looks), strconv.Itoa(ends)}
	for _, r := range requests {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("write a request to the guest agent: %w", err)
		}
		if len(text) > requestMax {
			return nil, api.Errorf(api.CodeInvalid, "a command of %d bytes is too long for the guest agent", len(text))
		}
		// Nomad reads a dollar sign with a brace as an expression of its own.
		args = append(args, strings.ReplaceAll(string(text), "$", `\u0024`))
	}
	return args, nil
}

// Whole reports whether a file of answers has all of them.
func Whole(text string) bool { return strings.HasSuffix(text, "\nend\n") }

// reply is one of the agent's answers.
type reply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Description string `json:"desc"`
	} `json:"error"`
}

// execution is what the agent says of a command that it runs.
type execution struct {
	Exited   bool   `json:"exited"`
	ExitCode *int   `json:"exitcode"`
	Signal   int    `json:"signal"`
	Output   []byte `json:"out-data"`
}

// Parse reads a whole file of answers to so many commands. The error says why the first
// command without an answer has none, and has code not_found where no agent answered.
func Parse(text string, commands int) ([]twin.Exit, error) {
	var answers []twin.Exit
	there, started := false, false
	for line := range strings.Lines(text) {
		var r reply
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			continue // the guest said something else before
		}
		if !there {
			there = string(r.Return) == strconv.Itoa(syncID)
			continue
		}
		if r.Error != nil {
			return answers, api.Errorf(api.CodeUnavailable, "the guest agent says %q", cut(r.Error.Description))
		}
		var e execution
		if err := json.Unmarshal(r.Return, &e); err != nil {
			return answers, api.Errorf(api.CodeUnavailable, "the guest agent's answer can't be read: %.200q", err.Error())
		}
		started = true
		if e.Exited && len(answers) < commands {
			answers, started = append(answers, e.answer()), false
		}
	}
	switch {
	case !there:
		return nil, api.Errorf(api.CodeNotFound, "no guest agent answers in the machine")
	case len(answers) < commands && started:
		return answers, api.Errorf(api.CodeUnavailable, "it has not ended after %d s", ends)
	case len(answers) < commands:
		return answers, api.Errorf(api.CodeUnavailable, "the guest agent does not answer any more")
	}
	return answers, nil
}

// answer is the command's end. A shell says 128 and the signal's number of a command that
// a signal has ended.
func (e execution) answer() twin.Exit {
	status := 128 + e.Signal
	if e.ExitCode != nil {
		status = *e.ExitCode
	}
	return twin.Exit{Status: status, Output: cut(string(e.Output))}
}

// cut keeps the end of what a guest says, as text.
func cut(text string) string {
	return strings.ToValidUTF8(text[max(0, len(text)-outputMax):], "\uFFFD")
}
