package inventory

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"

	"github.com/oakumhq/oakum/api"
)

// CheckCycloneDX refuses a version of CycloneDX that nobody here knows.
func CheckCycloneDX(version string) error {
	if !slices.Contains([]string{"1.2", "1.3", "1.4", "1.5", "1.6", "1.7"}, version) {
		return fmt.Errorf("it is CycloneDX %q; want 1.2 to 1.7", version)
	}
	return nil
}

// readCycloneDX reads the components of a CycloneDX document, and those inside of
// components. Its dependencies are not followed, so that cycles among them do no harm.
func readCycloneDX(version string, document []byte) (api.Inventory, error) {
	if err := CheckCycloneDX(version); err != nil {
		return api.Inventory{}, err
	}
	bom := &cyclonedx.BOM{}
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(document), cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		return api.Inventory{}, fmt.Errorf("it is no CycloneDX %s document: %w", version, jsonError(document, err))
	}
	c := &collector{inv: api.Inventory{Format: "CycloneDX " + version}, seen: map[api.Package]bool{}}
	if m := bom.Metadata; m != nil {
		c.inv.TakenAt = stamp(m.Timestamp)
		if m.Component != nil {
			if err := c.subject(m.Component); err != nil {
				return api.Inventory{}, err
			}
		}
	}
	if bom.Components != nil {
		if err := c.components(*bom.Components, 1); err != nil {
			return api.Inventory{}, err
		}
	}
	return c.inventory(), nil
}

// subject takes what the document describes. A program is a package like its
// dependencies; an image is none.
func (c *collector) subject(of *cyclonedx.Component) error {
	c.inv.Subject = of.Name
	texts := []string{of.Version}
	if of.Hashes != nil {
		for _, h := range *of.Hashes {
			if h.Algorithm == cyclonedx.HashAlgoSHA256 {
				texts = append(texts, "sha256:"+strings.ToLower(h.Value))
			}
		}
	}
	if p, err := parsePURL(of.PackageURL); err == nil {
		texts = append(texts, p.Version)
		if ordered(p.Ecosystem) {
			return c.add(of.Name, of.PackageURL)
		}
	}
	c.inv.Digest = digestIn(texts...)
	return nil
}

func (c *collector) components(list []cyclonedx.Component, depth int) error {
	if depth > nestingMax {
		return fmt.Errorf("its components are nested more than %d deep", nestingMax)
	}
	for i := range list {
		of := &list[i]
		var err error
		switch {
		case of.PackageURL != "":
			err = c.add(of.Name, of.PackageURL)
		case of.Type == cyclonedx.ComponentTypeOS:
			c.release = releaseOf("", of.Name+"-"+of.Version)
		case of.Type == cyclonedx.ComponentTypeFile:
		default:
			err = c.aside(api.Aside{Name: of.Name, Reason: "it has no package URL"})
		}
		if err != nil {
			return err
		}
		if of.Components != nil {
			if err := c.components(*of.Components, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
