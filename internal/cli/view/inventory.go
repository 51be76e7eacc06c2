package view

import (
	"fmt"
	"io"
	"strings"

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
