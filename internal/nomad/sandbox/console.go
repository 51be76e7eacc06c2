package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
)

// consoleMax is how many bytes of a console's end are read.
const consoleMax = 64 << 10

// Console reads the end of what the machine of a sandbox job wrote to its console: the
// standard output of its task. It is empty while the machine has not begun. The error
// has code not_found when Nomad knows no allocation of the job.
func (s *Sandbox) Console(ctx context.Context, job api.SandboxObject) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(job.Name, true, s.nomad.Query(ctx, job.Namespace))
	if err != nil {
		return "", nomad.Explain("list allocations of "+job.Name, err)
	}
	if len(stubs) == 0 {
		return "", api.Errorf(api.CodeNotFound, "job %s has no allocation", job.Name)
	}
	newest := slices.MaxFunc(stubs, func(a, b *nomadapi.AllocationListStub) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
	return s.output(ctx, job.Namespace, newest.ID, consoleTask(newest), consoleMax)
}

// consoleTask is the task of an allocation that has the machine. The tasks that Oakum
// adds to a twin have names of its own; a bake has only such a task.
func consoleTask(stub *nomadapi.AllocationListStub) string {
	for task := range stub.TaskStates {
		if !strings.HasPrefix(task, "oakum-") {
			return task
		}
	}
	return bakeTask
}

// output reads the end of a task's standard output. It is empty while there is none.
func (s *Sandbox) output(ctx context.Context, namespace, allocID, task string, most int) (string, error) {
	text, err := s.logEnd(ctx, namespace, allocID, task, "stdout", most)
	if api.IsCode(err, api.CodeNotFound) {
		return "", nil
	}
	return strings.ToValidUTF8(text, "\uFFFD"), err
}

// logEnd reads at most so many bytes of the end of what a task wrote to its stream,
// "stdout" or "stderr". The error has code not_found while there is no such log.
func (s *Sandbox) logEnd(ctx context.Context, namespace, allocID, task, stream string, most int) (string, error) {
	q := s.nomad.Query(ctx, namespace)
	q.Params = map[string]string{"task": task, "type": stream, "plain": "true", "origin": "end", "offset": fmt.Sprint(most)}
	file, err := s.api.Raw().Response("/v1/client/fs/logs/"+allocID, q)
	if err != nil {
		return "", nomad.Explain("read the "+stream+" of "+allocID, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, int64(most)))
	if err := cmp.Or(err, file.Close(), collected(allocID, string(text))); err != nil {
		return "", fmt.Errorf("read the %s of %s: %w", stream, allocID, err)
	}
	return string(text), nil
}
