package inventory

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// DocumentMax bounds the document of one inventory, in bytes. The document of an image
	// with a full desktop has about 20 MiB.
	DocumentMax = 64 << 20
	// PackagesMax bounds the packages of one inventory. An image has some thousands.
	PackagesMax = 200_000
	// nestingMax bounds components inside of components. Generators nest two deep.
	nestingMax = 32
	// asideMax bounds the entries that are kept aside, with a reason each.
	asideMax = PackagesMax
)

// Parse reads a software bill of materials: CycloneDX or SPDX, as JSON. source is where
// it is from, and is only kept. Entries that are no package which can be compared are
// kept aside; a document that can't be read as a whole, or is of a version that nobody
// here knows, is refused with an error of code invalid.
func Parse(source string, document []byte) (api.Inventory, error) {
	inv, err := parse(document)
	if err != nil {
		return api.Inventory{}, api.Errorf(api.CodeInvalid, "read inventory %s: %v", source, err)
	}
	inv.Source = source
	return inv, nil
}

func parse(document []byte) (api.Inventory, error) {
	if len(document) > DocumentMax {
		return api.Inventory{}, fmt.Errorf("the document is larger than %d MiB", DocumentMax>>20)
	}
	var head struct {
		BOMFormat   string          `json:"bomFormat"`
		SpecVersion string          `json:"specVersion"`
		SPDXVersion string          `json:"spdxVersion"`
		Context     json.RawMessage `json:"@context"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return api.Inventory{}, jsonError(document, err)
	}
	switch {
	case head.BOMFormat == "CycloneDX":
		return readCycloneDX(head.SpecVersion, document)
	case head.SPDXVersion != "":
		return readSPDX(head.SPDXVersion, document)
	case strings.Contains(string(head.Context), "spdx.org"):
		return api.Inventory{}, fmt.Errorf("it is an SPDX 3 document; want CycloneDX 1.2 to 1.7, or SPDX 2.2 or 2.3")
	}
	return api.Inventory{}, fmt.Errorf("it is neither CycloneDX nor SPDX: it has neither bomFormat \"CycloneDX\" nor spdxVersion")
}

// collector gathers the packages of a document.
type collector struct {
	inv     api.Inventory
	seen    map[api.Package]bool
	release string // of packages that don't say one
}

// add takes one entry with a package URL. Entries that are no package are kept aside.
func (c *collector) add(name, purl string) error {
	p, err := parsePURL(purl)
	switch {
	case err != nil:
		return c.aside(api.Aside{Name: name, Reason: err.Error()})
	case p.Version == "":
		return c.aside(api.Aside{Name: p.Name, Source: p.Source, Reason: "the package URL has no version: " + purl})
	case c.seen[p]:
		return nil
	case len(c.inv.Packages) == PackagesMax:
		return fmt.Errorf("it has more than %d packages", PackagesMax)
	}
	c.seen[p] = true
	c.inv.Packages = append(c.inv.Packages, p)
	return nil
}

func (c *collector) aside(a api.Aside) error {
	if len(c.inv.Aside) == asideMax {
		return fmt.Errorf("it has more than %d entries that are no packages", asideMax)
	}
	c.inv.Aside = append(c.inv.Aside, a)
	return nil
}

// inventory is what was gathered, in an order that does not depend on the document's.
func (c *collector) inventory() api.Inventory {
	inv := c.inv
	releases := map[string]bool{}
	for i := range inv.Packages {
		p := &inv.Packages[i]
		if distribution, ok := distributionOf(p.Release); ok && p.Release == distribution && within(c.release, distribution) {
			p.Release = c.release
		}
		if p.Release != "" {
			releases[p.Release] = true
		}
	}
	for r := range releases {
		inv.Releases = append(inv.Releases, r)
	}
	slices.Sort(inv.Releases)
	slices.SortFunc(inv.Packages, func(a, b api.Package) int {
		return cmp.Or(cmp.Compare(a.Ecosystem, b.Ecosystem), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.PURL, b.PURL))
	})
	slices.SortFunc(inv.Aside, func(a, b api.Aside) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Reason, b.Reason)) })
	return inv
}

// digestIn finds the digest of an image in the first text that is one.
func digestIn(texts ...string) string {
	if i := slices.IndexFunc(texts, api.IsDigest); i >= 0 {
		return texts[i]
	}
	return ""
}

// stamp reads the time of a document; one that is none is the zero time.
func stamp(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
