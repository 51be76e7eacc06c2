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

// commandsOf are what a twin's machine is asked to run.
func commandsOf(verifies []api.Verify) []string {
	var out []string
	for _, v := range verifies {
		out = append(out, v.Command)
	}
	return out
}

// proveBooted asks the patched machine of the first pair itself whether the fix is there.
// It does so when the pair is measured, since the commands are no part of what the
// machines are compared by. It returns a faultError when a command says no. A machine
// without a guest agent is not asked: its image was, in the appliance.
func (e *experiment) proveBooted(ctx context.Context, p *pair) error {
	verifies := verifiesOf(e.request, e.task)
	m := p.treatment()
	if p.turn.pair != 1 || len(verifies) == 0 || m.Load != "" || e.panel.Rejected(time.Now()) {
		return nil
	}
	within, cancel := context.WithTimeoutCause(ctx, bootedProofMax, errors.New("it has not answered in time"))
	defer cancel()
	exits, err := e.o.Sandbox.Ask(within, m.Machine, m.state.Alloc, len(verifies))
	if ctx.Err() != nil {
		return fmt.Errorf("prove the fix: %w", context.Cause(ctx))
	}
	for i, exit := range exits {
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
	case api.IsCode(err, api.CodeNotFound):
		e.unproved = api.AsError(err).Message
	case err != nil && len(exits) < len(verifies):
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

// bootedNote says why the patched machine itself was not asked for the fix, or "".
func (e *experiment) bootedNote() string {
	if e.unproved == "" {
		return ""
	}
	return "; the fix was looked for in the patched image alone: " + e.unproved
}
