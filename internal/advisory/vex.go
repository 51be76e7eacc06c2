package advisory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/oakumhq/oakum/api"
)

// Statement says of products whether a fault affects them, whatever their versions.
type Statement struct {
	Document      string
	Author        string
	At            time.Time
	Faults        []string // names of one fault
	Status        StatementStatus
	Justification string // why it is not affected, in the document's words
	products      []product
}

// StatementStatus is the answer of a statement. Only the first two take something out.
type StatementStatus string

// The answers, as OpenVEX writes them.
const (
	StatementNotAffected   StatementStatus = "not_affected"
	StatementFixed         StatementStatus = "fixed"
	StatementAffected      StatementStatus = "affected"
	StatementInvestigating StatementStatus = "under_investigation"
)

// product is what a statement is about: an image, or a package in any image. With parts,
// it is only those packages of the image.
type product struct {
	names []string // subject, digest, or package URL
	parts []string // package URLs
}

const statementsMax = 100_000

// ParseVEX reads statements: OpenVEX 0.2 or CycloneDX, as JSON. source is where they are
// from, and is only kept. Errors have code invalid.
func ParseVEX(source string, document []byte) ([]Statement, error) {
	out, err := parseVEX(document)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "read statements %s: %v", source, err)
	}
	for i := range out {
		out[i].Document = source
	}
	return out, nil
}

func parseVEX(document []byte) ([]Statement, error) {
	if len(document) > DocumentMax {
		return nil, fmt.Errorf("the document is larger than %d MiB", DocumentMax>>20)
	}
	var head struct {
		Context     any    `json:"@context"`
		BOMFormat   string `json:"bomFormat"`
		SpecVersion string `json:"specVersion"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return nil, fmt.Errorf("it is no JSON document: %w", err)
	}
	var out []Statement
	var err error
	switch context, _ := head.Context.(string); {
	case strings.HasPrefix(context, "https://openvex.dev/ns/v0.2"):
		out, err = readOpenVEX(document)
	case head.BOMFormat == "CycloneDX":
		out, err = readCycloneDXVEX(head.SpecVersion, document)
	default:
		err = fmt.Errorf("it is neither OpenVEX 0.2 nor CycloneDX")
	}
	if err == nil && len(out) > statementsMax {
		err = fmt.Errorf("it has more than %d statements", statementsMax)
	}
	return out, err
}

// openVEX is what is needed of an OpenVEX document.
type openVEX struct {
	Author     string    `json:"author"`
	Timestamp  time.Time `json:"timestamp"`
	Statements []struct {
		Vulnerability struct {
			ID      string   `json:"@id"`
			Name    string   `json:"name"`
			Aliases []string `json:"aliases"`
		} `json:"vulnerability"`
		Timestamp     time.Time        `json:"timestamp"`
		Products      []openVEXProduct `json:"products"`
		Status        StatementStatus  `json:"status"`
		Justification string           `json:"justification"`
		Impact        string           `json:"impact_statement"`
	} `json:"statements"`
}

type openVEXProduct struct {
	openVEXComponent
	Subcomponents []openVEXComponent `json:"subcomponents"`
}

type openVEXComponent struct {
	ID          string            `json:"@id"`
	Hashes      map[string]string `json:"hashes"`
	Identifiers map[string]string `json:"identifiers"`
}

// names are what a component is known by.
func (c openVEXComponent) names() []string {
	var out []string
	for _, name := range []string{c.ID, c.Identifiers["purl"]} {
		if name != "" {
			out = append(out, name)
		}
	}
	if sum := c.Hashes["sha-256"]; sum != "" {
		out = append(out, "sha256:"+strings.ToLower(sum))
	}
	return out
}

func readOpenVEX(document []byte) ([]Statement, error) {
	doc := openVEX{}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("it is no OpenVEX document: %w", err)
	}
	var out []Statement
	for i, from := range doc.Statements {
		s := Statement{Author: doc.Author, At: from.Timestamp, Status: from.Status, Justification: from.Justification}
		if s.At.IsZero() {
			s.At = doc.Timestamp
		}
		if s.Justification == "" {
			s.Justification = from.Impact
		}
		for _, name := range append([]string{from.Vulnerability.Name, from.Vulnerability.ID}, from.Vulnerability.Aliases...) {
			if name != "" {
				s.Faults = append(s.Faults, name)
			}
		}
		for _, p := range from.Products {
			one := product{names: p.names()}
			for _, part := range p.Subcomponents {
				one.parts = append(one.parts, part.names()...)
			}
			if len(p.Subcomponents) > 0 && len(one.parts) == 0 {
				return nil, fmt.Errorf("statement %d: a subcomponent has no name", i+1)
			}
			s.products = append(s.products, one)
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// check refuses a statement that takes something out without saying what, or why.
func (s *Statement) check() error {
	switch {
	case !slices.Contains([]StatementStatus{StatementNotAffected, StatementFixed, StatementAffected, StatementInvestigating}, s.Status):
		return fmt.Errorf("status %q: want not_affected, affected, fixed or under_investigation", s.Status)
	case len(s.Faults) == 0:
		return fmt.Errorf("it names no vulnerability")
	case s.Status == StatementNotAffected && s.Justification == "":
		return fmt.Errorf("it says not_affected, and not why: want a justification")
	case s.Status == StatementFixed && s.Justification == "":
		s.Justification = "fixed"
	}
	return nil
}

// about reports whether a statement is about a package of an inventory, or about all of
// the inventory when p is nil.
func (s *Statement) about(inv *api.Inventory, p *api.Package) bool {
	return slices.ContainsFunc(s.products, func(of product) bool {
		if slices.ContainsFunc(of.names, func(name string) bool { return isSubject(inv, name) }) {
			return len(of.parts) == 0 || (p != nil && slices.ContainsFunc(of.parts, func(part string) bool { return isPackage(p, part) }))
		}
		return p != nil && len(of.parts) == 0 && slices.ContainsFunc(of.names, func(name string) bool { return isPackage(p, name) })
	})
}

// isSubject reports whether a name is that of what an inventory describes: its digest,
// its name, or a package URL whose version is the digest.
func isSubject(inv *api.Inventory, name string) bool {
	if name == inv.Digest || name == inv.Subject {
		return name != ""
	}
	u, err := packageurl.FromString(name)
	return err == nil && inv.Digest != "" && u.Version == inv.Digest
}

// isPackage reports whether a package URL is that of a package. What the URL leaves out,
// any package may have.
func isPackage(p *api.Package, pattern string) bool {
	if pattern == p.PURL {
		return true
	}
	want, err := packageurl.FromString(pattern)
	if err != nil {
		return false
	}
	have, err := packageurl.FromString(p.PURL)
	if err != nil || want.Type != have.Type || want.Namespace != have.Namespace || want.Name != have.Name || (want.Version != "" && want.Version != have.Version) {
		return false
	}
	qualifiers := have.Qualifiers.Map()
	for _, q := range want.Qualifiers {
		if qualifiers[q.Key] != q.Value {
			return false
		}
	}
	return true
}

// except takes out what statements say is not affected.
func (a *Advisory) except(ix *Index, all []Statement, found map[int]finding, blind *string, out *api.Assessment) {
	var of []*Statement
	for i := range all {
		if slices.ContainsFunc(all[i].Faults, a.named) {
			of = append(of, &all[i])
		}
	}
	if len(of) == 0 {
		return
	}
	for i := range ix.inv.Packages {
		f, ok := found[i]
		if !ok || f.outcome < unclear {
			continue
		}
		p := &ix.inv.Packages[i]
		if e, ok := a.exception(ix, of, p); ok {
			e.Package, e.Version = p.Name, p.Version
			out.Exceptions = append(out.Exceptions, e)
			delete(found, i)
		}
	}
	if *blind == "" {
		return
	}
	if e, ok := a.exception(ix, of, nil); ok {
		out.Exceptions = append(out.Exceptions, e)
		*blind = ""
	}
}

// named reports whether a name is one of the advisory or of its faults.
func (a *Advisory) named(name string) bool {
	return name == a.ID || slices.Contains(a.Aliases, name) || slices.Contains(a.Upstream, name)
}

// exception finds the statement that takes a package out. An advisory about several
// faults needs one for each of them. The latest statement counts, and of two of the same
// time the one that stands later.
func (a *Advisory) exception(ix *Index, of []*Statement, p *api.Package) (api.Exception, bool) {
	latest := func(about func(name string) bool) *Statement {
		var last *Statement
		for _, s := range of {
			if slices.ContainsFunc(s.Faults, about) && s.about(&ix.inv, p) && (last == nil || !s.At.Before(last.At)) {
				last = s
			}
		}
		return last
	}
	faults := a.faults()
	own := latest(func(name string) bool {
		return (name == a.ID || slices.Contains(a.Aliases, name)) && (len(faults) == 1 || !slices.Contains(faults, name))
	})
	if own != nil {
		return own.exception(), own.takesOut()
	}
	var last *Statement
	for _, fault := range faults {
		if last = latest(func(name string) bool { return name == fault }); last == nil || !last.takesOut() {
			return api.Exception{}, false
		}
	}
	if last == nil {
		return api.Exception{}, false
	}
	return last.exception(), true
}

func (s *Statement) takesOut() bool {
	return s.Status == StatementNotAffected || s.Status == StatementFixed
}

func (s *Statement) exception() api.Exception {
	return api.Exception{Document: s.Document, Author: s.Author, At: s.At, Justification: s.Justification}
}
