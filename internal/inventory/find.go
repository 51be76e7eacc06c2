package inventory

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Meta is the key of a job's or a group's meta that names the inventory of what its task
// runs. With an underscore and the name of a task behind it, it is that task's.
const Meta = "oakum_inventory"

// NameIn is what the meta of a target names for a task, or "".
func NameIn(t api.Target, task string) string {
	return cmp.Or(t.Meta[Meta+"_"+task], t.Meta[Meta])
}

// Kept is what is kept of inventories, by what they describe: a digest, or the name of an
// image. Several records of one thing have different packages.
type Kept map[string][]api.InventoryRecord

// KeptOf groups records by what they describe.
func KeptOf(records []api.InventoryRecord) Kept {
	out := Kept{}
	for _, r := range records {
		out[r.Of] = append(out[r.Of], r)
	}
	return out
}

// Digest is the digest of an image, and how it is known.
type Digest struct {
	Sum   string // "sha256:" and 64 hex digits
	Basis string // such as "simulation 01j9"
	// Changed is when the first simulation or reading began that read this one, after others
	// had read another under the same name; zero when none had.
	Changed time.Time
	// Differs is why one digest does not say what all run that name the image so.
	Differs string
}

// sight is a digest that somebody has read under the name of an image.
type sight struct {
	at                time.Time
	image, sum, basis string
}

// Digests are the digests of images that were read in simulations, or to know what is
// installed, by the names that jobs have for the images. The newest counts. A name whose
// meaning differs from instance to instance, such as one with a variable in it, is none.
func Digests(simulations []api.Simulation, readings []api.InventoryReading) map[string]Digest {
	var seen []sight
	for _, sim := range simulations {
		if sim.Impact == nil {
			continue
		}
		for _, t := range sim.Impact.Twins {
			sum := digestIn("sha256:" + t.ImageDigest)
			if sum != "" && path.IsAbs(t.Image) && !strings.Contains(t.Image, "${") {
				seen = append(seen, sight{sim.Started, t.Image, sum, "simulation " + sim.ID})
			}
		}
	}
	for _, r := range readings {
		if r.Digest != "" && r.Digest != r.Of {
			seen = append(seen, sight{r.DigestAt, r.Of, r.Digest, "reading " + r.DigestAt.UTC().Format(time.RFC3339)})
		}
	}
	slices.SortStableFunc(seen, func(a, b sight) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.basis, b.basis))
	})
	out := map[string]Digest{}
	for _, s := range seen {
		next, former := Digest{Sum: s.sum, Basis: s.basis}, out[s.image]
		switch former.Sum {
		case "":
		case s.sum:
			next.Changed = former.Changed
		default:
			next.Changed = s.at
		}
		out[s.image] = next
	}
	for _, r := range readings {
		if r.Differs {
			out[r.Of] = Digest{Differs: r.Error}
		}
	}
	return out
}

// AddReadings adds to what was found how far the servers are with reading what is missing.
func AddReadings(found []api.TargetInventory, readings []api.InventoryReading) {
	byOf := map[string]api.InventoryReading{}
	for _, r := range readings {
		if last, ok := byOf[r.Of]; !ok || last.Began.Before(r.Began) {
			byOf[r.Of] = r
		}
	}
	for i := range found {
		f := &found[i]
		if f.Record != nil {
			continue
		}
		r, ok := byOf[cmp.Or(f.Image, f.Digest)]
		if other, by := byOf[f.Digest]; f.Digest != "" && by {
			r, ok = other, true
		}
		switch {
		case !ok, r.Differs: // which it says
		case r.Ended.IsZero():
			f.Missing += "; it is being read since " + r.Began.UTC().Format(time.RFC3339)
		case r.Error != "":
			f.Missing += "; " + failedReading(r)
		}
	}
}

// Find says which inventory there is of what each task of a target runs: of the tasks that
// run as long as the allocation, but for programs of the node itself beside a virtual
// machine. A
// target without any such task has one entry, which says so. An entry without a record says
// why: nothing is known of what is installed there, which is never safe.
func Find(t api.Target, digests map[string]Digest, kept Kept) []api.TargetInventory {
	var out []api.TargetInventory
	for _, task := range running(t) {
		found := api.TargetInventory{Target: t.TargetRef, Task: task.Name, Image: task.Image, Digest: task.Digest}
		if found.Digest != "" {
			found.Basis = "job"
		} else if d := digests[task.Image]; d.Differs != "" && namesContent(task) {
			found.Missing = fmt.Sprintf("nobody knows which image %s each instance runs: %s", task.Image, d.Differs)
			out = append(out, found)
			continue
		} else if d.Sum != "" {
			found.Digest, found.Basis = d.Sum, d.Basis
		}
		found.Record, found.Missing = pick(task, found.Digest, kept, NameIn(t, task.Name) != "")
		if r, changed := found.Record, digests[task.Image].Changed; r != nil && r.Of == task.Image && r.PutAt.Before(changed) {
			found.Record = nil
			found.Missing = fmt.Sprintf("image %s has changed since its inventory was given: %s read another digest than those before", task.Image, found.Basis)
		}
		out = append(out, found)
	}
	if len(out) == 0 {
		return []api.TargetInventory{{Target: t.TargetRef, Missing: "no task of it runs as long as its allocation"}}
	}
	return out
}

// running are the tasks whose content counts.
func running(t api.Target) []api.Task {
	var images, all []api.Task
	machine := false
	for _, task := range t.Tasks {
		if task.Lifecycle != "" && !strings.HasSuffix(task.Lifecycle, "-sidecar") {
			continue
		}
		all = append(all, task)
		machine = machine || task.Driver == "qemu"
		if task.Driver == "qemu" || task.Image != "" || task.Digest != "" {
			images = append(images, task)
		}
	}
	if machine {
		return images // a proxy beside it is the node's
	}
	return all
}

// NamesContent reports whether the image of a task of a target has a name by which an
// inventory of it can be kept.
func NamesContent(t api.Target, task string) bool {
	return slices.ContainsFunc(t.Tasks, func(k api.Task) bool { return k.Name == task && namesContent(k) })
}

// namesContent reports whether the name of a task's image means the same for every job. The
// path of a disk in the directories of an allocation does not, nor does a name with a
// variable in it.
func namesContent(t api.Task) bool {
	return t.Image != "" && !strings.Contains(t.Image, "${") && (t.Driver != "qemu" || path.IsAbs(t.Image))
}

// pick returns the inventory of what a task runs, or why there is none. One by the name of
// an image counts only where the job does not say the digest. One that a job has named
// counts only where the task's own job names one: whoever registers a job says nothing of
// what other jobs run.
func pick(task api.Task, digest string, kept Kept, names bool) (*api.InventoryRecord, string) {
	of := digest
	if task.Digest == "" && len(kept[of]) == 0 && namesContent(task) && len(kept[task.Image]) > 0 {
		of = task.Image
	}
	records := kept[of]
	if IsNode(of) { // no image has such a name
		records = nil
	}
	if !names {
		records = slices.DeleteFunc(slices.Clone(records), func(r api.InventoryRecord) bool { return r.Origin == api.InventoryNamed })
	}
	switch {
	case len(records) == 0 && len(kept[of]) > 0 && !IsNode(of):
		return nil, fmt.Sprintf("the inventory of %s is one that other jobs name (meta %s), and this one names none", of, Meta)
	case len(records) == 1:
		return &records[0], ""
	case len(records) > 1:
		return nil, fmt.Sprintf("%d inventories of %s differ; see oakum inventory list, and put the right one with -replace", len(records), of)
	case digest != "":
		return nil, "there is no inventory of " + digest
	case task.Image != "" && !namesContent(task):
		return nil, fmt.Sprintf("image %s is another one in every job, and the job does not say its digest", task.Image)
	case task.Image != "":
		return nil, fmt.Sprintf("nobody knows the digest of image %s, and there is no inventory by its name", task.Image)
	}
	return nil, fmt.Sprintf("its %s task has neither an image nor an artifact with a checksum, so nobody knows what it runs", task.Driver)
}
