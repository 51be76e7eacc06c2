package inventory

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// spdxDocument is what an inventory needs of an SPDX document. spdx/tools-golang is not
// used: it panics on a document whose list of packages holds null, and reads everything
// else of the document too.
type spdxDocument struct {
	Name         string `json:"name"`
	CreationInfo struct {
		Created string `json:"created"`
	} `json:"creationInfo"`
	Packages []spdxPackage `json:"packages"`
}

type spdxPackage struct {
	Name      string `json:"name"`
	Version   string `json:"versionInfo"`
	Purpose   string `json:"primaryPackagePurpose"`
	Checksums []struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	} `json:"checksums"`
	References []struct {
		Type    string `json:"referenceType"`
		Locator string `json:"referenceLocator"`
	} `json:"externalRefs"`
}

// readSPDX reads the packages of an SPDX document. What 2.2 says of packages, 2.3 says
// in the same words. Its relationships are not followed, so that cycles among them do no
// harm.
func readSPDX(version string, document []byte) (api.Inventory, error) {
	if version != "SPDX-2.2" && version != "SPDX-2.3" {
		return api.Inventory{}, fmt.Errorf("it is %q; want SPDX-2.2 or SPDX-2.3", version)
	}
	doc := spdxDocument{}
	if err := json.Unmarshal(document, &doc); err != nil {
		return api.Inventory{}, fmt.Errorf("it is no %s document: %w", version, jsonError(document, err))
	}
	c := &collector{
		inv:  api.Inventory{Format: strings.Replace(version, "-", " ", 1), Subject: doc.Name, TakenAt: stamp(doc.CreationInfo.Created)},
		seen: map[api.Package]bool{},
	}
	for i := range doc.Packages {
		if err := c.spdxPackage(&doc.Packages[i]); err != nil {
			return api.Inventory{}, err
		}
	}
	return c.inventory(), nil
}

func (c *collector) spdxPackage(of *spdxPackage) error {
	switch of.Purpose {
	case "CONTAINER":
		c.inv.Digest = digestIn(of.Version, of.checksum())
		return nil
	case "FILE":
		return nil
	case "OPERATING-SYSTEM":
		c.release = releaseOf("", of.Name+"-"+of.Version)
		return nil
	}
	for _, ref := range of.References {
		if ref.Type == "purl" {
			return c.add(of.Name, ref.Locator)
		}
	}
	return c.aside(api.Aside{Name: of.Name, Reason: "it has no package URL"})
}

// checksum is the SHA-256 of a package, as a digest.
func (p *spdxPackage) checksum() string {
	for _, sum := range p.Checksums {
		if sum.Algorithm == "SHA256" {
			return "sha256:" + strings.ToLower(sum.Value)
		}
	}
	return ""
}
