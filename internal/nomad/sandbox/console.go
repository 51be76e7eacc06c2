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
	q := s.nomad.Query(ctx, namespace)
	q.Params = map[string]string{"task": task, "type": "stdout", "plain": "true", "origin": "end", "offset": fmt.Sprint(most)}
	file, err := s.api.Raw().Response("/v1/client/fs/logs/"+allocID, q)
	if err != nil {
		if err := nomad.Explain("read the console of "+allocID, err); !api.IsCode(err, api.CodeNotFound) {
			return "", err
		}
		return "", nil
	}
	text, err := io.ReadAll(io.LimitReader(file, int64(most)))
	if err := cmp.Or(err, file.Close()); err != nil {
		return "", fmt.Errorf("read the console of %s: %w", allocID, err)
	}
	return strings.ToValidUTF8(string(text), "\uFFFD"), nil
}
