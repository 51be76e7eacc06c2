package advisory

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"

	"github.com/oakumhq/oakum/internal/inventory"
)

// readCycloneDXVEX reads the analyses of a CycloneDX document. Where the document
// describes something, they are about the packages of that thing only.
func readCycloneDXVEX(version string, document []byte) ([]Statement, error) {
	if err := inventory.CheckCycloneDX(version); err != nil {
		return nil, err
	}
	bom := &cyclonedx.BOM{}
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(document), cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		return nil, fmt.Errorf("it is no CycloneDX document: %w", err)
	}
	purls := map[string]string{}
	var subject []string
	author := ""
	at := time.Time{}
	if m := bom.Metadata; m != nil {
		at = timeOf(m.Timestamp)
		if m.Supplier != nil {
			author = m.Supplier.Name
		}
		if m.Component != nil {
			for _, name := range []string{m.Component.Name, m.Component.Version, m.Component.PackageURL} {
				if name != "" {
					subject = append(subject, name)
				}
			}
		}
	}
	if bom.Components != nil {
		for _, c := range *bom.Components {
			purls[c.BOMRef] = c.PackageURL
		}
	}
	if bom.Vulnerabilities == nil {
		return nil, fmt.Errorf("it has no vulnerabilities")
	}
	var out []Statement
	for i, v := range *bom.Vulnerabilities {
		if v.Analysis == nil {
			continue // it says what the fault is, and nothing of whom it affects
		}
		s := Statement{Author: author, At: at, Faults: []string{v.ID}, Status: statusOf(v.Analysis.State), Justification: string(v.Analysis.Justification)}
		if t := timeOf(v.Analysis.LastUpdated); !t.IsZero() {
			s.At = t
		}
		if s.Justification == "" {
			s.Justification = v.Analysis.Detail
		}
		if v.Affects != nil {
			for _, target := range *v.Affects {
				s.products = append(s.products, productOf(target.Ref, subject, purls))
			}
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("vulnerability %d (%s): %w", i+1, v.ID, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// productOf is what a reference is about: a component of the document, or of another
// one ("urn:cdx:serial/version#reference"), whose references are package URLs.
func productOf(ref string, subject []string, purls map[string]string) product {
	if p := purls[ref]; p != "" {
		ref = p
	} else if _, fragment, ok := strings.Cut(ref, "#"); ok && strings.HasPrefix(ref, "urn:cdx:") {
		ref = fragment
		if plain, err := url.PathUnescape(fragment); err == nil {
			ref = plain
		}
	}
	if len(subject) > 0 {
		return product{names: subject, parts: []string{ref}}
	}
	return product{names: []string{ref}}
}

// statusOf is the answer of an analysis in the words of OpenVEX.
func statusOf(state cyclonedx.ImpactAnalysisState) StatementStatus {
	switch state {
	case cyclonedx.IASNotAffected, cyclonedx.IASFalsePositive:
		return StatementNotAffected
	case cyclonedx.IASResolved, cyclonedx.IASResolvedWithPedigree:
		return StatementFixed
	case cyclonedx.IASExploitable:
		return StatementAffected
	case cyclonedx.IASInTriage:
		return StatementInvestigating
	}
	return StatementStatus(state)
}

// timeOf reads a time; one that is none is the zero time.
func timeOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
