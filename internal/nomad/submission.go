package nomad

import (
	"context"
	"net/http"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// submission is what the registered version of a job was made of, its source and variables;
// nil when Nomad keeps none. Nomad has one for each version, and shows none for a version
// that was registered without it (hashicorp/nomad#17806), so each registration hands on the
// one before. A token that may not read it changes the job all the same.
func (c *Client) submission(ctx context.Context, namespace, id string) (*nomadapi.JobSubmission, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	job, err := c.Job(ctx, namespace, id)
	if api.IsCode(err, api.CodeNotFound) {
		return nil, nil //nolint:nilnil // the compare-and-set says so
	}
	if err != nil {
		return nil, err
	}
	said, _, err := c.api.Jobs().Submission(id, int(*job.Version), c.Query(ctx, namespace)) //nolint:gosec // a version is far below the range
	switch status(err) {
	case http.StatusNotFound, http.StatusForbidden:
		return nil, nil //nolint:nilnil // there is none for us
	}
	if err != nil {
		return nil, Explain("read submission of "+id, err)
	}
	return &nomadapi.JobSubmission{
		Source: said.Source, Format: said.Format, Variables: said.Variables, VariableFlags: said.VariableFlags,
	}, nil
}
