package simulator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// bootedProofMax is how long a booted machine may take over all commands that prove the
// fix. One that takes longer proves nothing.
const bootedProofMax = 5 * time.Minute

// kernelCommand has a machine say which kernel it runs.
const kernelCommand = "uname -r"

// commandsOf are what the machines of a request's twins are asked to run: the commands
// that prove the fix, and last which kernel runs, where the patch asks for one.
func commandsOf(r Request, task string) []string {
	var out []string
	for _, v := range verifiesOf(r, task) {
		out = append(out, v.Command)
	}
	if r.kernel != "" {
		out = append(out, kernelCommand)
	}
	return out
}

// proveBooted asks the patched machine of the first pair itself whether the fix is there.
// It does so when the pair is measured, since the commands are no part of what the
// machines are compared by. It returns a faultError when a command says no. A machine
// without a guest agent is not asked: its image was, in the appliance.
func (e *experiment) proveBooted(ctx context.Context, p *pair) error {
	verifies, commands := verifiesOf(e.request, e.task), commandsOf(e.request, e.task)
	m := p.treatment()
	if p.turn.pair != 1 || len(commands) == 0 || m.Load != "" || e.panel.Rejected(time.Now()) {
		return nil
	}
	within, cancel := context.WithTimeoutCause(ctx, bootedProofMax, errors.New("it has not answered in time"))
	defer cancel()
	exits, err := e.o.Sandbox.Ask(within, m.Machine, m.state.Alloc, len(commands))
	if ctx.Err() != nil {
		return fmt.Errorf("prove the fix: %w", context.Cause(ctx))
	}
	for i, exit := range exits {
		if i == len(verifies) {
			if exit.Status == 0 {
				e.kernel = strings.TrimSpace(exit.Output)
			}
			break
		}
		v := verifies[i]
		proof := api.Proof{Command: v.Command, Where: "machine", OK: true, Output: exit.Output}
		fault, doubt := disproves(v, exit)
		proof.OK = fault == "" && doubt == ""
		e.proofs = append(e.proofs, proof)
		if fault != "" {
			return &faultError{fault}
		}
		if doubt != "" {
			e.doubts = append(e.doubts, doubt)
		}
	}
	switch {
	case api.IsCode(err, api.CodeNotFound) && len(verifies) > 0:
		e.unproved = api.AsError(err).Message
	case err != nil && len(exits) < len(verifies): // of the kernel, the console may tell
		e.doubts = append(e.doubts, fmt.Sprintf("it is not known whether the fix is there in the patched machine: %q: %s", verifies[len(exits)].Command, api.AsError(err).Message))
	}
	return nil
}

// disproves says why a command in the booted machine disproves the fix, or why it says
// nothing about it.
func disproves(v api.Verify, exit twin.Exit) (fault, doubt string) {
	how := ""
	switch {
	case exit.Status == 126 || exit.Status == 127: // the shell's own: it could not run the command
		return "", fmt.Sprintf("it is not known whether the fix is there in the patched machine: %q can't be run there (status %d)", v.Command, exit.Status)
	case exit.Status != 0:
		how = fmt.Sprintf("ended with status %d", exit.Status)
	case !strings.Contains(exit.Output, v.Expect):
		how = fmt.Sprintf("did not say %q", v.Expect)
	default:
		return "", ""
	}
	text := fmt.Sprintf("the patch does not fix what it says: %q %s in the patched machine", v.Command, how)
	lines := strings.Split(strings.TrimSpace(exit.Output), "\n")
	if last := lines[len(lines)-1]; last != "" {
		text += ": " + last
	}
	return text, ""
}

// recordKernel notes for the records of the patched twins which kernel the first one has said
// that it runs, where its console did not.
func (e *experiment) recordKernel() {
	for i := range e.twins {
		if t := &e.twins[i]; t.Role == twin.Treatment && t.Pair == 1 && t.Kernel == "" {
			t.Kernel = e.kernel
		}
	}
}

// bootedNote says why the patched machine itself was not asked for the fix, or "".
func (e *experiment) bootedNote() string {
	if e.unproved == "" {
		return ""
	}
	return "; the fix was looked for in the patched image alone: " + e.unproved
}
