package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// digestFile is where a node writes the digest of an image, in its allocation.
	digestFile = "alloc/data/oakum-digest"
	// digestNone stands in it for an image that the node does not have.
	digestNone = "none"
	// digestsAtOnce bounds how many nodes read an image at once, since nodes may share
	// the disk that it lies on.
	digestsAtOnce = 4
)

// digestScript writes the digest of an image into a file. Arguments: image, file.
const digestScript = `set -eu
if [ -e "$1" ]; then sha256sum <"$1" | cut -c1-64 >"$2"; else echo none >"$2"; fi
`

// ImageDigests returns the digest of a change's image on each node that runs the target,
// by the node's name: hex SHA-256, or empty where the node has no such file. Each node
// fetches an image that has a source, as the patched task will.
func (s *Sandbox) ImageDigests(ctx context.Context, target api.TargetRef, change api.Apply) (map[string]string, error) {
	if change.Source == "" && !readable(change.Image) {
		return nil, api.Errorf(api.CodeInvalid, "read the digest of image %q: want a path on the clients", change.Image)
	}
	job, err := s.readJob(ctx, target)
	if err != nil {
		return nil, err
	}
	nodes, err := s.nodesOf(ctx, target)
	if err != nil {
		return nil, err
	}
	run := strings.ToLower(rand.Text())
	out := make(map[string]string, len(nodes))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(digestsAtOnce)
	for id, name := range nodes {
		group.Go(func() error {
			digest, err := s.imageDigest(ctx, digestJob(job, target.Group, id, run, change))
			if err != nil {
				return api.Errorf(api.AsError(err).Code, "node %s: %v", name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = digest
			return nil
		})
	}
	return out, group.Wait()
}

// readable reports whether a node can find an image by its path. The node itself puts its
// metadata and attributes into it.
func readable(image string) bool {
	rest := regexp.MustCompile(`\$\{(meta|attr|node)\.[A-Za-z0-9_.-]+\}`).ReplaceAllLiteralString(image, "/")
	return strings.HasPrefix(rest, "/") && !strings.Contains(rest, "$")
}

// digestJob reads a change's image on one node. Only root can read every image. What the
// node fetches lies in the job's own folder, for which the job has as much room as the
// target's group has.
func digestJob(like *nomadapi.Job, group, node, run string, change api.Apply) *nomadapi.Job {
	id := twin.JobID(node, run, "digest")
	task := shellTask(digestScript, change.Image, "${NOMAD_ALLOC_DIR}/"+strings.TrimPrefix(digestFile, "alloc/"))
	job := onceJob(like, id, node, "", task)
	if change.Source == "" {
		return job
	}
	task.Artifacts = []*nomadapi.TaskArtifact{artifact(change.Source, "sha256:"+change.Digest, change.Image)}
	if g := like.LookupTaskGroup(group); g != nil && g.EphemeralDisk != nil {
		job.TaskGroups[0].EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: g.EphemeralDisk.SizeMB}
	}
	return job
}

// imageDigest runs a job that digestJob made and reads its answer.
func (s *Sandbox) imageDigest(ctx context.Context, job *nomadapi.Job) (string, error) {
	var text string
	err := s.runOnce(ctx, job, func(ctx context.Context, stub *nomadapi.AllocationListStub) (err error) {
		if stub.ClientStatus != nomadapi.AllocClientStatusComplete {
			return api.Errorf(api.CodeUnavailable, "%s", s.failed(ctx, *job.Namespace, stub))
		}
		text, err = s.readFile(ctx, *job.Namespace, stub.ID, digestFile, 128)
		return err
	})
	if err != nil {
		return "", err
	}
	return parseDigest(text)
}

// parseDigest reads what digestScript writes.
func parseDigest(text string) (string, error) {
	switch text = strings.TrimSpace(text); {
	case text == digestNone:
		return "", nil
	case api.IsSHA256(text):
		return text, nil
	}
	return "", fmt.Errorf("read the digest of an image: the node answered %q", text)
}

// nodesOf are the nodes that run a target, their names by their IDs.
func (s *Sandbox) nodesOf(ctx context.Context, ref api.TargetRef) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(ref.Job, false, s.nomad.Query(ctx, ref.Namespace))
	if err != nil {
		return nil, nomad.Explain("list allocations of "+ref.Job, err)
	}
	nodes := map[string]string{}
	for _, a := range stubs {
		if a.TaskGroup == ref.Group && a.ClientStatus == nomadapi.AllocClientStatusRunning {
			nodes[a.NodeID] = a.NodeName
		}
	}
	if len(nodes) == 0 {
		return nil, api.Errorf(api.CodeUnavailable, "no node runs %s", ref)
	}
	return nodes, nil
}
