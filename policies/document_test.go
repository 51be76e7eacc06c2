package policies_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/policies"
)

const (
	osvDocument = `{"id": "DSA-1-1", "aliases": ["CVE-2026-0001"], "affected": [{"package": {"ecosystem": "Debian:12", "name": "openssl"},
  "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.16-1~deb12u1"}]}]}]}`
	vexDocument = `{"@context": "https://openvex.dev/ns/v0.2.0", "author": "shop", "timestamp": "2026-02-27T00:00:00Z", "statements": [
  {"vulnerability": {"name": "CVE-2026-0001"}, "products": [{"@id": "shop/web"}], "status": "not_affected", "justification": "vulnerable_code_not_present"}]}`
)

// documentPatch is a patch with arguments between its severity and its target.
func documentPatch(arguments string) api.SourceFile {
	return api.SourceFile{Name: "p.hcl", Text: "patch \"p\" {\n  severity = \"high\"\n" + arguments + `
  target { jobs = ["web"] }
  apply "image" {
    task  = "vm"
    image = "/a.qcow2"
  }
}`, Files: map[string]string{"osv.json": osvDocument, "web.vex.json": vexDocument, "broken.json": "{"}}
}

func TestParsePatch_ReadsDocuments(t *testing.T) {
	t.Parallel()
	file := documentPatch(`advisory = file("osv.json")
vex = file("web.vex.json")`)
	must.Eq(t, []string{"osv.json", "web.vex.json"}, policies.FilesWanted(file))
	patch, diags := policies.ParsePatch(file)
	must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
	must.EqOp(t, "osv.json", patch.Advisory.Name)
	must.EqOp(t, 64, len(patch.Advisory.Digest))
	must.EqOp(t, "web.vex.json", patch.VEX.Name)
	list, statements, err := advisory.OfPatch(patch)
	must.NoError(t, err)
	must.SliceLen(t, 1, list)
	must.EqOp(t, "DSA-1-1", list[0].ID)
	must.EqOp(t, "osv.json", list[0].Source)
	must.SliceLen(t, 1, statements)

	file.Files["osv.json"] = strings.Replace(osvDocument, "deb12u1", "deb12u2", 1)
	changed, _ := policies.ParsePatch(file)
	must.NotEqOp(t, patch.Digest, changed.Digest, must.Sprint("the advisory is part of what the patch says"))

	plain, _ := policies.ParsePatch(documentPatch(""))
	must.EqOp(t, "aea968c3", plain.Digest[:8], must.Sprint("the digest of a patch without documents is that of former servers"))
	both, _ := policies.ParsePatch(documentPatch("advisory = file(\"osv.json\")\naffects \"deb\" {\n package = \"openssl\"\n below = \"3\"\n}"))
	list, _, err = advisory.OfPatch(both)
	must.NoError(t, err)
	must.SliceLen(t, 2, list)
}

func TestParsePatch_RefusesDocumentsThatItCantRead(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]string{
		`advisory = file("broken.json")`:                             "p.hcl:3,12-31: Unreadable document; read advisory broken.json: it is no OSV document",
		`advisory = file("web.vex.json")`:                            "it is no OSV document",
		`vex = file("osv.json")`:                                     "p.hcl:3,7-23: Unreadable document; read statements osv.json: it is neither OpenVEX 0.2 nor CycloneDX",
		`advisory = "DSA-1-1"`:                                       "p.hcl:3,12-21: Not a file; advisory is a whole document, as in: advisory = file(\"advisory.json\").",
		`advisory = "${file("osv.json")} "`:                          "Not a file",
		`advisory = file("gone.json")`:                               `the contents of "gone.json" did not come along`,
		`advisory = file("../osv.json")`:                             "leads out of the file's directory",
		"advisory = file(\"osv.json\")\nadvisory = file(\"b.json\")": "may be set only once",
	} {
		file := documentPatch(arguments)
		_, diags := policies.ParsePatch(file)
		must.NotNil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}), must.Sprint(arguments))
		must.StrContains(t, diags.Error(), want)
	}
}
