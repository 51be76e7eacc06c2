package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// Content is a digest of what the twins of a target are made of: its group of tasks,
// where it may run and its metadata, without names, counts and what a twin never gets.
// It counts images by their paths.
func (s *Sandbox) Content(ctx context.Context, ref api.TargetRef) (string, error) {
	job, err := s.readJob(ctx, ref)
	if err != nil {
		return "", err
	}
	return content(job, ref.Group)
}

func content(job *nomadapi.Job, name string) (string, error) {
	group := job.LookupTaskGroup(name)
	group.Name, group.Count = nil, nil
	group.Update, group.Migrate, group.Scaling, group.Affinities, group.Spreads = nil, nil, nil, nil, nil
	unname(group.Services)
	for _, task := range group.Tasks {
		unname(task.Services)
	}
	text, err := json.Marshal([]any{
		job.Region, job.Namespace, job.Datacenters, job.NodePool, job.Constraints, job.Meta, group,
	})
	if err != nil {
		return "", fmt.Errorf("digest job %s: %w", *job.ID, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// unname takes from services what says whose they are. Their checks stay, since a twin
// is asked by them.
func unname(services []*nomadapi.Service) {
	for _, s := range services {
		s.Name, s.Tags, s.CanaryTags, s.Meta, s.CanaryMeta, s.TaggedAddresses = "", nil, nil, nil, nil, nil
		for i := range s.Checks {
			s.Checks[i].Name = ""
		}
	}
}
