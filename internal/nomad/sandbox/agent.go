package sandbox

import (
	"context"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/guestagent"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// agentTask asks the guest agent of a twin's machine.
	agentTask = "oakum-agent"
	// agentFIFOs begins the paths of the port's ends on the node.
	agentFIFOs = qemu.Folder + "/" + agentDevice
	// agentDevice is what QEMU calls the port's device.
	agentDevice = "oakum-agent"
	// agentAnswers is the name of the file of answers in the task's own folder.
	agentAnswers = "answers.ndjson"
)

// agentArguments give a machine the serial port that a guest agent listens at. They come
// last, so that no other device of the machine has another place than in production.
func agentArguments() []string {
	return []string{
		"-chardev", "pipe,id=" + agentDevice + ",path=" + agentFIFOs,
		"-device", "virtio-serial,id=" + agentDevice + "-bus",
		"-device", "virtserialport,id=" + agentDevice + "-port,bus=" + agentDevice + "-bus.0,chardev=" + agentDevice + ",name=" + guestagent.PortName,
	}
}

// hasAgentPort reports whether a machine has the agent's serial port by its own arguments:
// an agent would listen at one of two.
func hasAgentPort(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, guestagent.PortName) })
}

// agentAsker is the task that asks the machine's agent. Like asker, it must not end the twin.
func agentAsker(vm *nomadapi.Task, commands []string) (*nomadapi.Task, error) {
	args, err := guestagent.Arguments(agentFIFOs, "${NOMAD_TASK_DIR}/"+agentAnswers, commands)
	if err != nil {
		return nil, err
	}
	task := asker(vm, 0)
	task.Name, task.Config = agentTask, map[string]any{"command": "/bin/sh", "args": args}
	return task, nil
}

// Ask has the guest agent of a twin's machine run the twin's commands, and waits for their
// ends. It may be called once for each allocation. The error has code not_found when the
// machine has no agent; other errors say why the first command without an answer has none.
func (s *Sandbox) Ask(ctx context.Context, m twin.Machine, allocID string, commands int) ([]twin.Exit, error) {
	if !m.Agent {
		return nil, api.Errorf(api.CodeNotFound, "the machine has no serial port for a guest agent")
	}
	if err := s.signal(ctx, m, allocID, agentTask); err != nil {
		return nil, gone(err)
	}
	ticker := time.NewTicker(goneInterval)
	defer ticker.Stop()
	for {
		text, err := s.agentSays(ctx, m, allocID)
		if err != nil {
			return nil, gone(err)
		}
		if guestagent.Whole(text) {
			return guestagent.Parse(text, commands)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, api.Errorf(api.CodeTimeout, "ask the guest agent of twin %s: %v", m.Job, context.Cause(ctx))
		}
	}
}

// gone is an error of a call to Nomad. A twin that is not there any more is no machine
// without an agent.
func gone(err error) error {
	if api.IsCode(err, api.CodeNotFound) {
		return api.Errorf(api.CodeUnavailable, "%s", api.AsError(err).Message)
	}
	return err
}

// agentSays reads the agent's answers as far as they are there.
func (s *Sandbox) agentSays(ctx context.Context, m twin.Machine, allocID string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	return s.readFile(ctx, m.Namespace, allocID, agentTask+"/local/"+agentAnswers, 2*guestagent.AnswersMax)
}
