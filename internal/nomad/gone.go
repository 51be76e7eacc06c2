package nomad

import (
	"context"
	"net/http"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// knownAge is how old the list of jobs may be to say that a target is there. The
// mapper reads the list more often; a stop is then noticed within this time.
const knownAge = 30 * time.Second

// Gone says what became of a target that is not there any more; nil when it is there.
// A target that the list of jobs has, which all readers share, needs no request of its
// own: thousands of rollouts may wait for their turn.
func (c *Client) Gone(ctx context.Context, ref api.TargetRef) (*rollout.Gone, error) {
	known := c.jobs.known.Load()
	if known == nil || time.Since(known.at) > knownAge {
		if _, err := c.jobFacts(ctx); err != nil {
			return nil, err
		}
		known = c.jobs.known.Load()
	}
	if known.targets[ref] {
		return nil, nil //nolint:nilnil // nothing is gone
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	job, err := c.Job(ctx, ref.Namespace, ref.Job)
	if api.IsCode(err, api.CodeNotFound) {
		gone, _, err := c.purged(ctx, ref, err)
		return gone, err
	}
	if err != nil {
		return nil, err
	}
	return lost(job, ref.Group), nil
}

// lost says what a registered job lacks of a target; nil when it lacks nothing.
func lost(job *nomadapi.Job, group string) *rollout.Gone {
	switch {
	case *job.Stop:
		return &rollout.Gone{Loss: rollout.JobStopped}
	case job.LookupTaskGroup(group) == nil:
		return &rollout.Gone{Loss: rollout.GroupRemoved}
	}
	return nil
}

// purged tells a job that is gone from one that Nomad merely did not show. A 404 proves
// nothing: it has no index that would tell how old it is. The leader's list of the
// namespace's jobs has one, and is refused to a token that may not read it. The index
// is that of the list. notFound is the answer that is returned when the list has the
// job.
func (c *Client) purged(ctx context.Context, ref api.TargetRef, notFound error) (*rollout.Gone, uint64, error) {
	q := c.Query(ctx, ref.Namespace)
	q.Prefix, q.PerPage = ref.Job, 1 // sorted by ID: the shortest comes first
	var rows []jobRow
	meta, err := c.api.Raw().Query("/v1/jobs", &rows, q)
	switch {
	case err != nil:
		return nil, 0, Explain("list job "+ref.Job, err)
	case !meta.KnownLeader:
		return nil, 0, api.Errorf(api.CodeUnavailable, "list job %s: nomad has no leader", ref.Job)
	case len(rows) > 0 && rows[0].ID == ref.Job:
		return nil, 0, notFound
	}
	if ref.Namespace == nomadapi.DefaultNamespace {
		return &rollout.Gone{Loss: rollout.JobPurged}, meta.LastIndex, nil
	}
	_, _, err = c.api.Namespaces().Info(ref.Namespace, c.Query(ctx, ""))
	if status(err) == http.StatusNotFound {
		return &rollout.Gone{Loss: rollout.NamespaceRemoved}, meta.LastIndex, nil
	}
	return &rollout.Gone{Loss: rollout.JobPurged}, meta.LastIndex, nil
}
