package service

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// document is an inventory of an image, with bash of a version. An empty digest is not
// named.
func document(digest, version string) []byte {
	return fmt.Appendf(nil, `{"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"type": "container", "name": "web", "version": %q}},
  "components": [{"type": "library", "name": "bash", "purl": "pkg:deb/debian/bash@%s?arch=amd64&distro=debian-12"}]}`, digest, version)
}

func digestOf(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// machine is a target of one virtual machine.
func machine(job, image, digest string) api.Target {
	t := target(job)
	t.Driver, t.Tasks = "qemu", []api.Task{{Name: "vm", Driver: "qemu", Image: image, Digest: digest}}
	return t
}

func TestPutInventory_KeepsItUnderWhatItDescribes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")), machine("cart", "/images/cart.qcow2", ""), machine("own", "local/root.qcow2", ""), target("batch"))
	for name, c := range map[string]struct {
		in      api.InventoryGiven
		named   string // in the document
		of      string
		targets int
		err     string
	}{
		"the document's digest": {api.InventoryGiven{}, digestOf("b"), digestOf("b"), 0, ""},
		"the caller's digest":   {api.InventoryGiven{Digest: digestOf("a")}, digestOf("b"), digestOf("a"), 1, ""},
		"the digest in a job":   {api.InventoryGiven{Target: "prod/web/web"}, "", digestOf("a"), 1, ""},
		"the image's name":      {api.InventoryGiven{Target: "prod/cart/cart"}, "", "/images/cart.qcow2", 1, ""},
		"no digest":             {api.InventoryGiven{}, "", "", 0, "it does not name the digest"},
		"a digest that is none": {api.InventoryGiven{Digest: "sha256:0a"}, "", "", 0, "want sha256: and 64 hexadecimal digits"},
		"two things":            {api.InventoryGiven{Digest: digestOf("a"), Image: "web"}, "", "", 0, "want one of digest, image and target"},
		"a task of nothing":     {api.InventoryGiven{Digest: digestOf("a"), Task: "vm"}, "", "", 0, "want the target that it is of"},
		"an unknown target":     {api.InventoryGiven{Target: "prod/none/none"}, "", "", 0, "no target prod/none/none"},
		"an unknown task":       {api.InventoryGiven{Target: "prod/web/web", Task: "x"}, "", "", 0, "want one of vm"},
		"a disk of its own":     {api.InventoryGiven{Target: "prod/own/own"}, "", "", 0, "image local/root.qcow2 is another one in every job"},
		"a program of the node": {api.InventoryGiven{Target: "prod/batch/batch"}, "", "", 0, "nobody knows what it runs"},
	} {
		t.Run(name, func(t *testing.T) {
			receipt, err := f.PutInventory(t.Context(), c.in, document(c.named, "5.2"), ada())
			if c.err != "" {
				must.ErrorContains(t, err, c.err)
				return
			}
			must.NoError(t, err)
			must.Eq(t, c.of, receipt.Record.Of)
			must.Len(t, c.targets, receipt.Targets)
			must.Eq(t, "ada", receipt.Record.PutBy)
			must.Eq(t, epoch(), receipt.Record.PutAt)
			must.EqOp(t, c.targets == 0, receipt.Record.Seen.IsZero(), must.Sprint("what runs now was seen"))
			inv, err := f.Inventory(c.of, "")
			must.NoError(t, err)
			must.Eq(t, "bash", inv.Packages[0].Name)
		})
	}
}

func TestPutInventory_KeepsWhatDiffersAside(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
	put := func(version string, replace bool) api.InventoryReceipt {
		t.Helper()
		receipt, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf("a"), Replace: replace}, document("", version), ada())
		must.NoError(t, err)
		return receipt
	}
	first := put("5.2", false)
	must.False(t, first.Known)
	must.True(t, put("5.2", false).Known)
	second := put("5.3", false)
	must.Eq(t, []string{first.Record.Hash}, second.Differs)
	found, err := f.TargetInventories(t.Context(), nil)
	must.NoError(t, err)
	must.Nil(t, found[0].Record)
	must.StrContains(t, found[0].Missing, "2 inventories of "+digestOf("a")+" differ")
	_, err = f.Inventory(digestOf("a"), "")
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	inv, err := f.Inventory(digestOf("a"), second.Record.Hash[:12])
	must.NoError(t, err)
	must.Eq(t, "5.3", inv.Packages[0].Version)

	put("5.3", true)
	found, err = f.TargetInventories(t.Context(), &api.TargetRef{Namespace: "prod", Job: "web", Group: "web"})
	must.NoError(t, err)
	must.Eq(t, second.Record.Hash, found[0].Record.Hash)
	_, err = f.Inventory(digestOf("f"), "")
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
}

func TestInventory_IsNamedByTheBeginningOfADigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	put := func(digest string) {
		t.Helper()
		_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digest}, document("", "5.2"), ada())
		must.NoError(t, err)
	}
	begin := "sha256:" + strings.Repeat("a", 12)
	put(digestOf("a"))
	inv, err := f.Inventory(begin, "")
	must.NoError(t, err)
	must.Eq(t, "bash", inv.Packages[0].Name)
	for _, none := range []string{begin[:len(begin)-1], "sha256:", begin + "b"} {
		_, err = f.Inventory(none, "")
		must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(none, err))
	}
	_, err = f.Inventory(begin, "0")
	must.ErrorContains(t, err, "inventory of "+digestOf("a")+"#0: there is none")

	put(begin + strings.Repeat("b", 52))
	_, err = f.Inventory(begin, "")
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.Len(t, 2, api.AsError(err).Details)
	_, err = f.Inventory(digestOf("a"), "")
	must.NoError(t, err)
}

func TestPutInventory_KeepsALargeOneInPieces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var doc strings.Builder
	doc.WriteString(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [`)
	for i := range 12_000 {
		if i > 0 {
			doc.WriteString(",")
		}
		fmt.Fprintf(&doc, `{"type": "library", "name": "p", "purl": "pkg:deb/debian/p%d@%x?arch=amd64&distro=debian-12"}`, i, sha512.Sum512([]byte{byte(i), byte(i >> 8)}))
	}
	doc.WriteString("]}")
	receipt, err := f.PutInventory(t.Context(), api.InventoryGiven{Image: "web:1"}, []byte(doc.String()), ada())
	must.NoError(t, err)
	must.Greater(t, 1, len(receipt.Record.Pieces))
	inv, err := f.Inventory("web:1", "")
	must.NoError(t, err)
	must.Len(t, 12_000, inv.Packages)
	t.Logf("12,000 packages: %d bytes in %d pieces", receipt.Record.Bytes, len(receipt.Record.Pieces))
}

// TestImageInstalled_AgreesByDistributionsAlone holds that what Oakum reads of an image
// does not contradict a document that says more, and that it tells of one that says other.
func TestImageInstalled_AgreesByDistributionsAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
	more := strings.Replace(string(document("", "5.2")), `"components": [`, `"components": [{"type": "library", "name": "uuid", "purl": "pkg:golang/github.com/google/uuid@v1.6.0"},`, 1)
	bash := func(version string) api.Inventory {
		return api.Inventory{Source: "/images/web.qcow2", Format: "dpkg", Packages: []api.Package{{Ecosystem: "deb", Name: "bash", Version: version}}}
	}
	only := func() api.InventoryRecord {
		t.Helper()
		list := f.state.InventoriesOf(digestOf("a"))
		must.Len(t, 1, list)
		return list[0]
	}
	must.NoError(t, f.ImageInstalled(t.Context(), strings.Repeat("a", 64), bash("5.2")))
	must.Eq(t, api.InventoryImage, only().Origin)
	must.Eq(t, epoch(), only().TakenAt)
	_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf("a")}, []byte(more), ada())
	must.NoError(t, err)
	must.Eq(t, 2, only().Packages)
	must.NoError(t, f.ImageInstalled(t.Context(), strings.Repeat("a", 64), bash("5.2")))
	must.Eq(t, api.InventoryPut, only().Origin)
	must.NoError(t, f.ImageInstalled(t.Context(), strings.Repeat("a", 64), bash("5.3")))
	must.Len(t, 2, f.state.InventoriesOf(digestOf("a")))
}

// TestPutInventory_SaysWhatItDoesNotKnow holds that a fleet that can't be listed keeps
// nobody from giving an inventory.
func TestPutInventory_SaysWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fleet.err = errors.New("no answer from Nomad")
	receipt, err := f.PutInventory(t.Context(), api.InventoryGiven{}, document(digestOf("a"), "5.2"), ada())
	must.NoError(t, err)
	must.StrContains(t, receipt.Unlisted, "no answer from Nomad")
	must.Len(t, 0, receipt.Targets)
}

func TestNoteInventories_ForgetsWhatNothingRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
	for _, digit := range []string{"a", "b"} {
		_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf(digit)}, document("", "5.2"), ada())
		must.NoError(t, err)
	}
	now := epoch()
	f.opt.Now = func() time.Time { return now }
	must.NoError(t, f.noteInventories(t.Context()))
	must.Eq(t, epoch(), f.state.InventoriesOf(digestOf("a"))[0].Seen)
	must.True(t, f.state.InventoriesOf(digestOf("b"))[0].Seen.IsZero())
	var forgotten []string
	f.log.meet = func(cmd state.Command) {
		if forget, ok := cmd.(*state.InventoriesForget); ok {
			forgotten = append(forgotten, forget.Of...)
		}
	}
	now = epoch().Add(unseenAfter - time.Second)
	must.NoError(t, f.noteInventories(t.Context()))
	must.SliceEmpty(t, forgotten)
	now = epoch().Add(unseenAfter)
	f.fleet.err = errors.New("no answer from Nomad")
	must.Error(t, f.noteInventories(t.Context()))
	must.SliceEmpty(t, forgotten)
	f.fleet.err = nil
	must.NoError(t, f.noteInventories(t.Context()))
	must.Eq(t, []string{digestOf("b")}, forgotten)
}

// TestInventoryRead_TakesThePlaceOfWhatTheJobNamedBefore: a nightly scan writes the document
// anew. One that somebody gave is another voice, and both are kept.
func TestInventoryRead_TakesThePlaceOfWhatTheJobNamedBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	read := func(source, version string) {
		t.Helper()
		inv := api.Inventory{Source: source, Format: "CycloneDX 1.6", Packages: []api.Package{{Ecosystem: "deb", Name: "bash", Version: version}}}
		must.NoError(t, f.InventoryRead(t.Context(), digestOf("a"), api.InventoryNamed, inv))
	}
	read("https://sbom.example/web.json", "5.2")
	read("https://sbom.example/web.json", "5.3")
	list := f.store.InventoriesOf(digestOf("a"))
	must.Len(t, 1, list)
	must.EqOp(t, api.InventoryNamed, list[0].Origin)
	read("https://sbom.example/other.json", "5.4")
	must.Len(t, 2, f.store.InventoriesOf(digestOf("a")))
}
