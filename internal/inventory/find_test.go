package inventory_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// sha is a digest of one hex digit.
func sha(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

func TestFind_SaysWhichInventoryATargetHas(t *testing.T) {
	t.Parallel()
	record := func(of, hash string) api.InventoryRecord { return api.InventoryRecord{Of: of, Hash: hash} }
	kept := inventory.KeptOf([]api.InventoryRecord{
		record(sha("a"), "1"), record(sha("b"), "1"), record(sha("b"), "2"), record("/images/web.qcow2", "3"), record("/images/cart.qcow2", "4"),
		record("local/root.qcow2", "5"), record("/images/${NOMAD_META_x}.qcow2", "6"), record("local/web:1", "7"),
	})
	digests := map[string]inventory.Digest{"/images/web.qcow2": {Sum: sha("a"), Basis: "simulation 01"}, "/images/cart.qcow2": {Sum: sha("c"), Basis: "simulation 02"}}
	for name, c := range map[string]struct {
		tasks   []api.Task
		task    string
		hash    string // of the record
		basis   string
		missing string
	}{
		"by the digest in the job":            {[]api.Task{{Name: "app", Driver: "docker", Image: "web", Digest: sha("a")}}, "app", "1", "job", ""},
		"by the digest that was read":         {[]api.Task{{Name: "vm", Driver: "qemu", Image: "/images/web.qcow2"}}, "vm", "1", "simulation 01", ""},
		"by name beside a digest without one": {[]api.Task{{Name: "vm", Driver: "qemu", Image: "/images/cart.qcow2"}}, "vm", "4", "simulation 02", ""},
		"a job's digest is no name":           {[]api.Task{{Name: "vm", Driver: "qemu", Image: "/images/cart.qcow2", Digest: sha("d")}}, "vm", "", "job", "there is no inventory of " + sha("d")},
		"inventories that differ":             {[]api.Task{{Name: "app", Digest: sha("b")}}, "app", "", "job", "2 inventories of " + sha("b") + " differ"},
		"an image that nobody read":           {[]api.Task{{Name: "app", Driver: "docker", Image: "web:1"}}, "app", "", "", "nobody knows the digest of image web:1"},
		"a program":                           {[]api.Task{{Name: "app", Driver: "raw_exec"}}, "app", "", "", "its raw_exec task has neither"},
		"a disk of its own directory":         {[]api.Task{{Name: "vm", Driver: "qemu", Image: "local/root.qcow2"}}, "vm", "", "", "is another one in every job"},
		"a name with a variable":              {[]api.Task{{Name: "vm", Driver: "qemu", Image: "/images/${NOMAD_META_x}.qcow2"}}, "vm", "", "", "is another one in every job"},
		"a container image of that name":      {[]api.Task{{Name: "app", Driver: "docker", Image: "local/web:1"}}, "app", "7", "", ""},
		"only the machine counts": {[]api.Task{
			{Name: "lay", Driver: "raw_exec", Lifecycle: "prestart"}, {Name: "log", Driver: "exec"}, {Name: "vm", Driver: "qemu", Digest: sha("a")},
		}, "vm", "1", "job", ""},
		"nothing that runs": {[]api.Task{{Name: "lay", Driver: "raw_exec", Lifecycle: "prestart"}}, "", "", "", "no task of it runs"},
	} {
		t.Run(name, func(t *testing.T) {
			ref := api.TargetRef{Namespace: "prod", Job: "web", Group: "g"}
			found := inventory.Find(api.Target{TargetRef: ref, Tasks: c.tasks}, digests, kept)
			must.Len(t, 1, found)
			must.Eq(t, c.task, found[0].Task)
			must.Eq(t, c.basis, found[0].Basis)
			must.StrContains(t, found[0].Missing, c.missing)
			must.Eq(t, c.missing == "", found[0].Record != nil)
			if found[0].Record != nil {
				must.Eq(t, c.hash, found[0].Record.Hash)
				must.Eq(t, "", found[0].Missing)
			}
		})
	}
}

// TestFind_TakesNoOtherJobsWord holds that whoever registers a job says nothing of what other
// jobs run, although it is the same content.
func TestFind_TakesNoOtherJobsWord(t *testing.T) {
	t.Parallel()
	named, given := api.InventoryRecord{Of: sha("a"), Hash: "1", Origin: api.InventoryNamed}, api.InventoryRecord{Of: sha("a"), Hash: "2", Origin: api.InventoryPut}
	for name, c := range map[string]struct {
		meta    map[string]string
		kept    []api.InventoryRecord
		hash    string
		missing string
	}{
		"its own":              {map[string]string{inventory.Meta: "/srv/a.json"}, []api.InventoryRecord{named}, "1", ""},
		"its task's own":       {map[string]string{inventory.Meta + "_app": "/srv/a.json"}, []api.InventoryRecord{named}, "1", ""},
		"of another task":      {map[string]string{inventory.Meta + "_log": "/srv/a.json"}, []api.InventoryRecord{named}, "", "one that other jobs name"},
		"of another job":       {nil, []api.InventoryRecord{named}, "", "one that other jobs name"},
		"beside a given one":   {nil, []api.InventoryRecord{named, given}, "2", ""},
		"that differs from it": {map[string]string{inventory.Meta: "/srv/a.json"}, []api.InventoryRecord{named, given}, "", "2 inventories"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := api.Target{Meta: c.meta, Tasks: []api.Task{{Name: "app", Driver: "docker", Digest: sha("a")}}}
			found := inventory.Find(target, nil, inventory.KeptOf(c.kept))
			must.Len(t, 1, found)
			must.StrContains(t, found[0].Missing, c.missing)
			must.Eq(t, c.hash != "", found[0].Record != nil)
			if c.hash != "" {
				must.EqOp(t, c.hash, found[0].Record.Hash)
			}
		})
	}
}

func TestFind_AsksForEverySidecar(t *testing.T) {
	t.Parallel()
	found := inventory.Find(api.Target{Tasks: []api.Task{
		{Name: "app", Driver: "docker", Digest: sha("a")}, {Name: "proxy", Driver: "docker", Image: "envoy:1", Lifecycle: "prestart-sidecar"},
	}}, nil, inventory.KeptOf([]api.InventoryRecord{{Of: sha("a")}}))
	must.Len(t, 2, found)
	must.NotNil(t, found[0].Record)
	must.Nil(t, found[1].Record)

	t.Log("a container beside a machine counts, a program of the node does not")
	found = inventory.Find(api.Target{Tasks: []api.Task{
		{Name: "vm", Driver: "qemu", Digest: sha("a")}, {Name: "log", Driver: "exec"}, {Name: "proxy", Driver: "docker", Image: "envoy:1", Lifecycle: "prestart-sidecar"},
	}}, nil, inventory.KeptOf([]api.InventoryRecord{{Of: sha("a")}}))
	must.Len(t, 2, found)
	must.EqOp(t, "proxy", found[1].Task)
	must.Nil(t, found[1].Record)
}

func TestDigests_AreOfTheNewestSimulation(t *testing.T) {
	t.Parallel()
	sim := func(id, image, digit string) api.Simulation {
		return api.Simulation{ID: id, Impact: &api.Impact{Twins: []api.Twin{{Image: image, ImageDigest: strings.Repeat(digit, 64)}}}}
	}
	got := inventory.Digests([]api.Simulation{
		sim("02", "/images/web.qcow2", "b"), sim("01", "/images/web.qcow2", "a"), sim("03", "${NOMAD_ALLOC_DIR}/root.qcow2", "c"),
		sim("04", "/images/${NOMAD_META_x}.qcow2", "c"), sim("05", "/images/db.qcow2", ""), {ID: "06"},
	}, nil)
	must.Eq(t, map[string]inventory.Digest{"/images/web.qcow2": {Sum: sha("b"), Basis: "simulation 02"}}, got)
}

func TestDigests_AreOfTheNewestReadingToo(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sim := api.Simulation{ID: "01", Started: at, Impact: &api.Impact{Twins: []api.Twin{{Image: "/images/web.qcow2", ImageDigest: strings.Repeat("a", 64)}}}}
	reading := func(image, sum string, hours time.Duration) api.InventoryReading {
		return api.InventoryReading{Of: image, Digest: sum, DigestAt: at.Add(hours * time.Hour), Began: at.Add(100 * time.Hour)}
	}
	got := inventory.Digests([]api.Simulation{sim}, []api.InventoryReading{
		reading("/images/web.qcow2", sha("b"), 2), reading("/images/db.qcow2", sha("c"), 1), reading("/images/failed.qcow2", "", 1), reading(sha("d"), sha("d"), 1),
	})
	must.Eq(t, map[string]inventory.Digest{
		"/images/web.qcow2": {Sum: sha("b"), Basis: "reading 2026-03-01T14:00:00Z", Changed: at.Add(2 * time.Hour)},
		"/images/db.qcow2":  {Sum: sha("c"), Basis: "reading 2026-03-01T13:00:00Z"},
	}, got)
	got = inventory.Digests([]api.Simulation{sim}, []api.InventoryReading{reading("/images/web.qcow2", sha("b"), -2)})
	must.EqOp(t, "simulation 01", got["/images/web.qcow2"].Basis)
}

func TestAddReadings_SaysHowFarTheServersAre(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	found := []api.TargetInventory{
		{Image: "/images/web.qcow2", Missing: "nobody knows"}, {Image: "local/db.qcow2", Digest: sha("a"), Missing: "there is none"},
		{Image: "/images/none.qcow2", Missing: "nobody knows"}, {Image: "/images/web.qcow2", Record: &api.InventoryRecord{}},
	}
	inventory.AddReadings(found, []api.InventoryReading{
		{Of: "/images/web.qcow2", Began: at}, {Of: sha("a"), Began: at, Ended: at.Add(time.Minute), Failures: 3, Error: "no room"}, {Of: "", Began: at},
	})
	must.EqOp(t, "nobody knows; it is being read since 2026-03-01T12:00:00Z", found[0].Missing)
	must.EqOp(t, "there is none; to read it has failed, 3 times by 2026-03-01T12:01:00Z: no room", found[1].Missing)
	must.EqOp(t, "nobody knows", found[2].Missing)
	must.EqOp(t, "", found[3].Missing)
}

// TestFind_TakesNoInventoryOfAFormerContent holds that an inventory by the name of an image
// counts no more once the sandbox has read another content under that name.
func TestFind_TakesNoInventoryOfAFormerContent(t *testing.T) {
	t.Parallel()
	const image = "/images/web.qcow2"
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sim := func(hour int, digit string) api.Simulation {
		return api.Simulation{
			ID: fmt.Sprintf("%02d", hour), Started: begin.Add(time.Duration(hour) * time.Hour),
			Impact: &api.Impact{Twins: []api.Twin{{Image: image, ImageDigest: strings.Repeat(digit, 64)}, {Image: image, ImageDigest: strings.Repeat(digit, 64)}}},
		}
	}
	for name, c := range map[string]struct {
		simulations []api.Simulation
		put         int // hours after begin
		found       bool
	}{
		"nobody read it":                 {nil, 0, true},
		"read once":                      {[]api.Simulation{sim(5, "a")}, 0, true},
		"read twice, the same":           {[]api.Simulation{sim(1, "a"), sim(5, "a")}, 0, true},
		"it changed afterwards":          {[]api.Simulation{sim(1, "a"), sim(5, "b")}, 2, false},
		"it changed, and was read again": {[]api.Simulation{sim(1, "a"), sim(5, "b"), sim(7, "b")}, 2, false},
		"given after it changed":         {[]api.Simulation{sim(1, "a"), sim(5, "b"), sim(7, "b")}, 6, true},
		"it changed back":                {[]api.Simulation{sim(1, "a"), sim(5, "b"), sim(7, "a")}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept := inventory.KeptOf([]api.InventoryRecord{{Of: image, PutAt: begin.Add(time.Duration(c.put) * time.Hour)}})
			target := api.Target{Tasks: []api.Task{{Name: "vm", Driver: "qemu", Image: image}}}
			found := inventory.Find(target, inventory.Digests(c.simulations, nil), kept)
			must.Len(t, 1, found)
			must.EqOp(t, c.found, found[0].Record != nil, must.Sprint(found[0].Missing))
			if !c.found {
				must.StrContains(t, found[0].Missing, "image /images/web.qcow2 has changed since its inventory was given: simulation")
			}
		})
	}
}

func TestPack_ComesBack(t *testing.T) {
	t.Parallel()
	inv := api.Inventory{
		Source: "web.cdx.json", Format: "CycloneDX 1.6", Digest: sha("a"), Releases: []string{"Debian:12"},
		Packages: []api.Package{{Ecosystem: "deb", Name: "openssl", Version: "3.0.11", PURL: "pkg:deb/debian/openssl@3.0.11"}}, Aside: []api.Aside{{Name: "x", Reason: "y"}},
	}
	hash, pieces, err := inventory.Pack(inv, 50)
	must.NoError(t, err)
	must.Greater(t, 1, len(pieces))
	record := api.InventoryRecord{Of: sha("a"), Hash: hash, Source: inv.Source, Format: inv.Format}
	back, err := inventory.Unpack(record, pieces)
	must.NoError(t, err)
	must.Eq(t, inv, back)

	inv.Source = "another.json"
	same, _, err := inventory.Pack(inv, 50)
	must.NoError(t, err)
	must.Eq(t, hash, same)

	pieces[0] = bytes.Clone(pieces[0])
	pieces[0][20] ^= 1
	_, err = inventory.Unpack(record, pieces)
	must.Error(t, err)
}

func TestFindNodes_SaysWhyNobodyKnows(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	node := func(id string) api.Node {
		return api.Node{ID: id, Name: id, Status: "ready", Drivers: []string{inventory.NodeDriver}}
	}
	record := func(id string, age time.Duration, origin api.InventoryOrigin) api.InventoryRecord {
		return api.InventoryRecord{Of: inventory.OfNode(id), Hash: id, Origin: origin, TakenAt: now.Add(-age), PutAt: now.Add(-age)}
	}
	down, cordoned, without := node("down"), node("cordoned"), node("without")
	down.Status, cordoned.Ineligible, without.Drivers = "down", true, []string{"docker"}
	kept := inventory.KeptOf([]api.InventoryRecord{
		record("fresh", time.Hour, api.InventoryNode), record("old", 49*time.Hour, api.InventoryNode), record("failing", time.Hour, api.InventoryNode),
		record("down", 49*time.Hour, api.InventoryNode), record("given", time.Hour, api.InventoryPut), record("cordoned", time.Hour, api.InventoryNode),
	})
	readings := []api.InventoryReading{
		{Key: "nodes", Of: inventory.OfNode(""), Began: now},
		{Key: "node:failing", Of: inventory.OfNode("failing"), Began: now, Ended: now, Failures: 2, Error: "dpkg is locked"},
		{Key: "node:begun", Of: inventory.OfNode("begun"), Began: now},
	}
	want := map[string]string{
		"fresh": "", "cordoned": "", "old": "stale", "failing": "to read it has failed, 2 times by 2026-03-01T12:00:00Z: dpkg is locked", "begun": "is being read since",
		"never": "nobody has read", "down": "the node is down", "without": "the driver raw_exec does not work", "given": "nobody has read",
	}
	nodes := []api.Node{node("fresh"), node("old"), node("failing"), node("begun"), node("never"), down, cordoned, without, node("given")}
	for _, n := range inventory.FindNodes(nodes, kept, readings, 0, now) {
		must.StrContains(t, n.Missing, want[n.ID], must.Sprint(n.ID))
		must.EqOp(t, want[n.ID] == "", n.Missing == "", must.Sprint(n.ID, n.Missing))
	}
	for _, n := range inventory.FindNodes(nodes[:2], kept, readings, 24*30*time.Hour, now) {
		must.EqOp(t, "", n.Missing)
	}
	must.Nil(t, nodes[0].Record, must.Sprint("what was given stays as it was"))
	target := api.Target{TargetRef: api.TargetRef{Job: "j"}, Count: 1, Tasks: []api.Task{{Name: "t", Driver: "docker", Image: inventory.OfNode("fresh")}}}
	must.Nil(t, inventory.Find(target, nil, kept)[0].Record, must.Sprint("no image is a node"))
}
