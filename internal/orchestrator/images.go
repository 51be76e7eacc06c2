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
	// imagesTimeout is how long the nodes may take to read an image: one of 20 GiB on a
	// disk of 100 MB/s takes half of it.
	imagesTimeout = 6 * time.Minute
	// imagesAgain is how long an answer counts. A stage that waits for longer asks
	// again, whether the images were right or not: somebody may have put another one
	// there.
	imagesAgain = time.Minute
	// imagesNamed is how many nodes a reason names.
	imagesNamed = 3
)

// Images reads the images that nodes have.
type Images interface {
	// ImageDigests returns the digest of an image on each node that runs the target, by
	// the node's name: hex SHA-256, or empty where the node has no such file.
	ImageDigests(ctx context.Context, target api.TargetRef, image string) (map[string]string, error)
}

// imageCheck compares, before a stage, the images that nodes have with those that were
// tried. Nodes take minutes for it, so it runs beside the worker's turns: a turn never
// waits for it, and a rollback does not either.
type imageCheck struct {
	stage  int    // before which it is made, from 1
	shown  string // what is known to be wrong while it is under way
	cancel context.CancelFunc
	done   chan struct{} // closed when the answer is there
	wrong  string        // answer: why the stage may not begin; empty when it may
	at     time.Time     // of the answer
}

// imagesRight reports whether every node that runs the target has the images that were
// tried. Until it is known it reports false; the text says what is wrong, as far as that
// is known.
func (o *Orchestrator) imagesRight(ctx context.Context, r api.Rollout, a *execution) (bool, string) {
	tried := triedImages(r.Apply)
	if o.Images == nil || len(tried) == 0 {
		return true, ""
	}
	stage := len(r.Stages) + 1
	c := a.images
	switch {
	case c == nil:
		c = o.checkImages(ctx, r.Target, tried, stage, "")
	case c.stage != stage:
		c.stop()
		c = o.checkImages(ctx, r.Target, tried, stage, "")
	case c.over() && o.Now().Sub(c.at) > imagesAgain:
		c = o.checkImages(ctx, r.Target, tried, stage, c.wrong)
	}
	a.images = c
	if !c.over() {
		return false, c.shown
	}
	return c.wrong == "", c.wrong
}

// checkImages begins a check. Its owner stops it.
func (o *Orchestrator) checkImages(ctx context.Context, target api.TargetRef, tried []api.Apply, stage int, shown string) *imageCheck {
	ctx, cancel := context.WithTimeoutCause(ctx, imagesTimeout,
		api.Errorf(api.CodeTimeout, "the nodes did not answer within %s", imagesTimeout))
	c := &imageCheck{stage: stage, shown: shown, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer cancel()
		c.wrong = o.compareImages(ctx, target, tried)
		c.at = o.Now()
	}()
	return c
}

// over reports whether the answer is there.
func (c *imageCheck) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// stop ends a check, and waits for that. No check is none to stop.
func (c *imageCheck) stop() {
	if c != nil {
		c.cancel()
		<-c.done
	}
}

// triedImages are the changes whose image has a known digest.
func triedImages(changes []api.Apply) []api.Apply {
	return slices.DeleteFunc(slices.Clone(changes), func(a api.Apply) bool {
		return a.Kind != api.ApplyImage || a.Digest == ""
	})
}

// compareImages says what is wrong with the images that nodes have; empty when nothing
// is.
func (o *Orchestrator) compareImages(ctx context.Context, target api.TargetRef, tried []api.Apply) string {
	for _, a := range tried {
		nodes, err := o.Images.ImageDigests(ctx, target, a.Image)
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
