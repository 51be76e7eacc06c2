package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// loadFile is the name of the load's report in the task's own folder: the program
	// under test can write to the folder of the allocation. An allocation that replaces
	// another one has the former report there, and a name of its own for the new one.
	loadFile      = "report.ndjson"
	loadFileAgain = "report-again.ndjson"
	// reportPart is how many bytes of a report are read at once.
	reportPart = 128 << 10
	// startSignal makes the task begin.
	startSignal = "SIGHUP"
)

// StartLoad begins the load of a group's twin, with its warm-up.
func (s *Sandbox) StartLoad(ctx context.Context, m twin.Machine, allocID string) error {
	return s.signal(ctx, m, allocID, m.Load)
}

// signal has a task of a twin begin with what it waits for.
func (s *Sandbox) signal(ctx context.Context, m twin.Machine, allocID, task string) error {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	alloc := &nomadapi.Allocation{ID: allocID}
	if err := s.api.Allocations().Signal(alloc, s.nomad.Query(ctx, m.Namespace), task, startSignal); err != nil {
		return nomad.Explain("start task "+task+" of twin "+m.Job, err)
	}
	return nil
}

// LoadReports reads what the load of a group's twin has reported since an offset in the
// report, and the offset to go on from. It returns whole lines only, and none before the
// load has begun its report.
func (s *Sandbox) LoadReports(ctx context.Context, m twin.Machine, allocID string, from int64) ([]twin.Report, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	text, err := s.reported(ctx, m.Namespace, allocID, grouptask.Load+"/local/"+reportOf(m.Former), from, "read the report of twin "+m.Job)
	// Nomad tells a file that is not there by the text alone.
	if from == 0 && api.IsCode(err, api.CodeInvalid) && strings.Contains(err.Error(), "no such file or directory") {
		return nil, 0, nil
	}
	if err != nil {
		return nil, from, err
	}
	reports, read, err := parseReports(text)
	return reports, from + int64(read), err
}

// reported reads a part of what a task of a twin reports in a file, from an offset on.
// doing begins the error. The call goes through the servers, as in readFile.
func (s *Sandbox) reported(ctx context.Context, namespace, allocID, path string, from int64, doing string) ([]byte, error) {
	q := s.nomad.Query(ctx, namespace)
	q.Params = map[string]string{"path": path, "origin": "start", "offset": strconv.FormatInt(from, 10), "follow": "false"}
	file, err := s.api.Raw().Response("/v1/client/fs/stream/"+allocID, q)
	if err != nil {
		return nil, nomad.Explain(doing, err)
	}
	text, err := frames(file, reportPart)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return text, nil
}

// reportOf is the report's name in the allocation of a twin that replaces another one,
// or none.
func reportOf(former string) string {
	if former != "" {
		return loadFileAgain
	}
	return loadFile
}

// parseReports reads the whole lines at the beginning of a text, and returns how many
// bytes they are.
func parseReports(text []byte) (reports []twin.Report, read int, err error) {
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the task is writing it
		}
		var r twin.Report
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, 0, api.Errorf(api.CodeUnavailable, "the load's report has a line that is none: %.80q", line)
		}
		reports = append(reports, r)
		read += len(line)
	}
	return reports, read, nil
}
