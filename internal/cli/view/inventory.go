package view

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Inventories shows what is installed, one inventory below the other.
func Inventories(w io.Writer, list []api.Inventory) {
	for i, inv := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		Fields(w, "Inventory", inv.Source, "Format", inv.Format, "Of", inv.Subject, "Digest", inv.Digest,
			"Taken", Stamp(inv.TakenAt), "Releases", strings.Join(inv.Releases, ", "), "Packages", fmt.Sprint(len(inv.Packages)))
		if len(inv.Packages) > 0 {
			fmt.Fprintln(w)
			t := NewTable("Ecosystem", "Package", "Version", "Arch", "Source", "Release")
			for _, p := range inv.Packages {
				t.Add(p.Ecosystem, p.Name, p.Version, p.Arch, strings.TrimSpace(p.Source+" "+p.SourceVersion), p.Release)
			}
			t.Print(w, "")
		}
		if len(inv.Aside) > 0 {
			fmt.Fprintln(w, "\nNothing can be compared with:")
			t := NewTable("Entry", "Reason")
			for _, a := range inv.Aside {
				t.Add(a.Name, a.Reason)
			}
			t.Print(w, "  ")
		}
	}
}

// InventoryDiff shows the packages that differ between two inventories.
func InventoryDiff(w io.Writer, d api.InventoryDiff) {
	if len(d.Changes) == 0 {
		fmt.Fprintln(w, "The same packages.")
		return
	}
	t := NewTable("Ecosystem", "Package", "Before", "After")
	for _, c := range d.Changes {
		t.Add(c.Ecosystem, c.Name, c.Before, c.After)
	}
	t.Print(w, "")
}

// InventoryRecords lists inventories that the cluster keeps.
func InventoryRecords(w io.Writer, list []api.InventoryRecord, now time.Time) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No inventories are kept.")
		return
	}
	t := NewTable("Of", "Packages", "Release", "Origin", "Source", "Age", "Runs")
	differ := map[string]bool{}
	for _, r := range list {
		runs := "not seen"
		if !r.Seen.IsZero() {
			runs = Age(now, r.Seen) + " ago"
		}
		of := ShortDigest(r.Of)
		if r.Differs {
			of += "#" + Short(r.Hash)
			differ[r.Of] = true
		}
		t.Add(of, fmt.Sprint(r.Packages), strings.Join(r.Releases, ", "), string(r.Origin), r.Source, Span(r.Age(now)), runs)
	}
	t.PrintWithin(w, "", tableWidth)
	for _, of := range slices.Sorted(maps.Keys(differ)) {
		fmt.Fprintf(w, "\nThe inventories of %s differ,\nso nobody knows what is installed there. Put the right one with -replace.\n", of)
	}
}

// ShortDigest is a digest that a person can read; anything else stays as it is.
func ShortDigest(of string) string {
	if hex, ok := strings.CutPrefix(of, "sha256:"); ok {
		return "sha256:" + Short(hex)
	}
	return of
}

// shortDigests shortens the digests in a sentence. In a table one is so long that nothing
// else has room beside it, and commands take its first twelve digits.
func shortDigests(sentence string) string {
	words := strings.Split(sentence, " ")
	for i, word := range words {
		if len(word) == len("sha256:")+64 {
			words[i] = ShortDigest(word)
		}
	}
	return strings.Join(words, " ")
}

// TargetInventories lists which inventory each target has, or why it has none.
func TargetInventories(w io.Writer, list []api.TargetInventory, now time.Time) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No target runs.")
		return
	}
	t := NewTable("Target", "Task", "Runs", "Packages", "Origin", "Age")
	var missing []api.TargetInventory
	for _, f := range list {
		if f.Record == nil {
			missing = append(missing, f)
			continue
		}
		t.Add(f.Target.String(), f.Task, ShortDigest(f.Record.Of), fmt.Sprint(f.Record.Packages), string(f.Record.Origin), Span(f.Record.Age(now)))
	}
	if len(missing) < len(list) {
		t.PrintWithin(w, "", tableWidth)
	}
	if len(missing) == 0 {
		return
	}
	if len(missing) < len(list) {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "Nobody knows what is installed in:")
	u := NewTable("Target", "Task", "Because")
	for _, f := range missing {
		u.Add(f.Target.String(), f.Task, shortDigests(f.Missing))
	}
	u.PrintWithin(w, "  ", tableWidth)
}

// Nodes lists the client nodes of Nomad with their systems, kernels and inventories.
func Nodes(w io.Writer, list []api.Node, now time.Time) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Nomad has no client node.")
		return
	}
	t := NewTable("Node", "ID", "Pool", "Status", "System", "Kernel", "Packages", "Age")
	u := NewTable("Node", "ID", "Because")
	missing, above := 0, ""
	for _, n := range list {
		id, _, _ := strings.Cut(n.ID, "-")
		packages, age := "unknown", "-"
		if n.Record != nil {
			packages, age = fmt.Sprint(n.Record.Packages), Span(n.Record.Age(now))
		}
		t.Add(n.Name, id, n.Pool, n.Status, cmp.Or(strings.TrimSpace(n.OS+" "+n.OSVersion), "-"), cmp.Or(n.Kernel, "-"), packages, age)
		if n.Missing != "" {
			u.Add(n.Name, id, unlessSame(&above, n.Missing))
			missing++
		}
	}
	t.PrintWithin(w, "", tableWidth)
	if missing > 0 {
		fmt.Fprintln(w, "\nNobody knows what is installed now on:")
		u.PrintWithin(w, "  ", tableWidth)
	}
}

// unlessSame is a reason, or a word for it where the row above has the same one: what fails
// on one node mostly fails on all.
func unlessSame(above *string, reason string) string {
	if reason == *above {
		return "the same"
	}
	*above = reason
	return reason
}

// InventoryReceipt says what became of an inventory that was given.
func InventoryReceipt(w io.Writer, r api.InventoryReceipt) {
	switch {
	case r.Known:
		fmt.Fprintf(w, "%s has this inventory already; it is as of now.\n", r.Record.Of)
	default:
		fmt.Fprintf(w, "The inventory of %s is kept, with %s.\n", r.Record.Of, Count(r.Record.Packages, "package"))
	}
	switch {
	case r.Unlisted != "":
		fmt.Fprintf(w, "Nobody knows which targets run it: %s.\n", r.Unlisted)
	case len(r.Targets) == 0:
		fmt.Fprintln(w, "Nothing runs it now. It is forgotten when nothing has run it for 30 days.")
	default:
		names := make([]string, len(r.Targets))
		for i, t := range r.Targets {
			names[i] = t.String()
		}
		fmt.Fprintf(w, "It runs in %s.\n", strings.Join(names, ", "))
	}
	if len(r.Differs) > 0 {
		fmt.Fprintf(w, "Others of the same thing differ (%d), so nobody knows what is installed there.\n", len(r.Differs))
		fmt.Fprintf(w, "Compare them (oakum inventory diff), and put the right one with -replace:\n  %[1]s#%[2]s\n  %[1]s#%[3]s\n",
			r.Record.Of, Short(r.Differs[0]), Short(r.Record.Hash))
	}
}
