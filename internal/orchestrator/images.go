package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// imagesTimeout is how long the nodes may take to read or fetch an image: one of 20 GiB
	// on a disk, or over a network, of 100 MB/s takes half of it.
	imagesTimeout = 6 * time.Minute
	// imagesNamed is how many nodes a reason names.
	imagesNamed = 3
)

// Images reads the images that nodes have.
type Images interface {
	// ImageDigests returns the digest of a change's image on each node that runs the
	// target, by the node's name: hex SHA-256, or empty where the node has no such file.
	// An image with a source is fetched by each node for that.
	ImageDigests(ctx context.Context, target api.TargetRef, change api.Apply) (map[string]string, error)
}

// imagesRight reports whether every node that runs the target has the images that were
// tried. Until it is known it reports false; the text says what is wrong, as far as that
// is known.
func (o *Orchestrator) imagesRight(ctx context.Context, r api.Rollout, a *execution) (bool, string) {
	tried := triedImages(r.Apply)
	if o.Images == nil || len(tried) == 0 {
		return true, ""
	}
	a.images = o.inquire(ctx, a.images, len(r.Stages)+1, imagesTimeout, func(ctx context.Context) answer {
		return answer{wrong: o.compareImages(ctx, r.Target, tried)}
	})
	found, right := a.images.known()
	return right, found.wrong
}

// triedImages are the changes whose image has a known digest and is a file of the nodes,
// or one that they can fetch. One that the job's own tasks bring is on no node before an
// instance runs there, and its job says what it is.
func triedImages(changes []api.Apply) []api.Apply {
	return slices.DeleteFunc(slices.Clone(changes), func(a api.Apply) bool {
		brought := !strings.HasPrefix(a.Image, "/") && !strings.HasPrefix(a.Image, "${") || strings.HasPrefix(a.Image, "${NOMAD_")
		return a.Kind != api.ApplyImage || a.Digest == "" || brought && a.Source == ""
	})
}

// compareImages says what is wrong with the images that nodes have; empty when nothing
// is.
func (o *Orchestrator) compareImages(ctx context.Context, target api.TargetRef, tried []api.Apply) string {
	for _, a := range tried {
		nodes, err := o.Images.ImageDigests(ctx, target, a)
		if err != nil {
			return fmt.Sprintf("it is not known which image %s the nodes have: %s", a.Image, api.AsError(err).Message)
		}
		var wrong []string
		for _, node := range slices.Sorted(maps.Keys(nodes)) {
			switch has := nodes[node]; has {
			case a.Digest:
			case "":
				wrong = append(wrong, fmt.Sprintf("node %s has no image %s", node, a.Image))
			default:
				wrong = append(wrong, fmt.Sprintf("image %s on node %s has the digest %s", a.Image, node, has))
			}
		}
		if len(wrong) > 0 {
			more := ""
			if n := len(wrong) - imagesNamed; n > 0 {
				more = fmt.Sprintf(" and %d more nodes", n)
			}
			return strings.Join(wrong[:min(len(wrong), imagesNamed)], ", ") + more + "; what was tried has the digest " + a.Digest
		}
	}
	return ""
}

// withDigests adds the digests of the images that the treatment twins ran.
func withDigests(changes []api.Apply, twins []api.Twin) []api.Apply {
	out := slices.Clone(changes)
	for i, a := range out {
		if a.Kind != api.ApplyImage || a.Digest != "" {
			continue
		}
		at := slices.IndexFunc(twins, func(t api.Twin) bool { return t.Role == "treatment" && t.Image == a.Image && t.ImageDigest != "" })
		if at >= 0 {
			out[i].Digest = twins[at].ImageDigest
		}
	}
	return out
}
