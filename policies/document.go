package policies

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/policies/lang"
)

// readDocument reads an argument that takes a whole file, as in
// advisory = file("DSA-5678-1.json"). It is nil when the argument is absent or wrong.
func (s *patchParser) readDocument(b *hclsyntax.Block, name string, check func(source string, document []byte) error) *api.PatchDocument {
	attr := b.Body.Attributes[name]
	if attr == nil || s.Diags.HasErrors() {
		return nil
	}
	path, ok := lang.FileCall(lang.Unwrapped(attr.Expr))
	if !ok {
		s.Problem(attr.Expr.Range(), "Not a file", "%s is a whole document, as in: %s = file(\"%s.json\").", name, name, name)
		return nil
	}
	contents := s.files[path] // it is there, or reading the argument has failed
	if err := check(path, []byte(contents)); err != nil {
		s.Problem(attr.Expr.Range(), "Unreadable document", "%v.", api.AsError(err).Message)
		return nil
	}
	sum := sha256.Sum256([]byte(contents))
	return &api.PatchDocument{Name: path, Digest: hex.EncodeToString(sum[:])}
}

func checkOSV(source string, document []byte) error {
	_, err := advisory.ParseOSV(source, document)
	return err
}

func checkVEX(source string, document []byte) error {
	_, err := advisory.ParseVEX(source, document)
	return err
}
