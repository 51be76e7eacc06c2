package nomad

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// refusal explains why a registration or a dry run of a job did not go through. Nomad
// answers 500 both for a job that it will never take and while it can't take any, and only
// the latter is worth another try. So after a 500 it is asked to validate the job: the
// error has code invalid, with the words of that, when there is something wrong with the
// job.
func (c *Client) refusal(ctx context.Context, doing string, job *nomadapi.Job, err error) error {
	explained := Explain(doing, err)
	if status(err) != http.StatusInternalServerError || api.IsCode(explained, api.CodeConflict) {
		return explained
	}
	said, _, unknown := c.api.Jobs().Validate(job, c.Write(ctx, *job.Namespace))
	if unknown != nil || len(said.ValidationErrors) == 0 {
		return explained
	}
	return &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%s: nomad refuses the job: %s", doing, oneLine(said.ValidationErrors))}
}

// oneLine joins errors, which have lines of their own, to one line.
func oneLine(errs []string) string {
	flat := make([]string, len(errs))
	for i, e := range errs {
		flat[i] = strings.Join(strings.Fields(e), " ")
	}
	return strings.Join(flat, "; ")
}
