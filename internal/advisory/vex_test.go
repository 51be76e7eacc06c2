package advisory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

// openVEX is a document with these statements.
func openVEX(statements ...string) string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","author":"ada","timestamp":"2026-02-01T00:00:00Z","statements":[` + strings.Join(statements, ",") + `]}`
}

// says is one statement of OpenVEX about a fault and a product.
func says(fault, status, product, at string) string {
	return fmt.Sprintf(`{"vulnerability":{"name":%q},"status":%q,"justification":"component_not_present","timestamp":%q,"products":[%s]}`, fault, status, at, product)
}

const curl = "pkg:deb/debian/curl@7.88.1-10?arch=amd64&distro=debian-12"

func TestAssess_TakesOutWhatStatementsSay(t *testing.T) {
	const first, second = "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"
	one := `{"id":"X","aliases":["CVE-2026-0001"],"affected":[{"package":{"ecosystem":"Debian:12","name":"curl"},"versions":["7.88.1-10"]}]}`
	two := strings.Replace(one, `"aliases":["CVE-2026-0001"]`, `"upstream":["CVE-2026-0001","CVE-2026-0002"]`, 1)
	for _, c := range []struct {
		name, osv, vex string
		want           api.AssessmentStatus
	}{
		{"the package, in any image", one, openVEX(says("CVE-2026-0001", "not_affected", `{"@id":"pkg:deb/debian/curl"}`, first)), api.AssessmentNotAffected},
		{"by the advisory's own name", one, openVEX(says("X", "fixed", `{"@id":"pkg:deb/debian/curl@7.88.1-10?arch=amd64"}`, first)), api.AssessmentNotAffected},
		{"another version", one, openVEX(says("X", "fixed", `{"@id":"pkg:deb/debian/curl@7.88.1-9"}`, first)), api.AssessmentAffected},
		{"another architecture", one, openVEX(says("X", "fixed", `{"@id":"pkg:deb/debian/curl?arch=arm64"}`, first)), api.AssessmentAffected},
		{"another fault", one, openVEX(says("CVE-2026-0009", "not_affected", `{"@id":"pkg:deb/debian/curl"}`, first)), api.AssessmentAffected},
		{"the image by its digest", one, openVEX(says("X", "not_affected", `{"@id":"x","hashes":{"sha-256":"`+strings.TrimPrefix(digest, "sha256:")+`"}}`, first)), api.AssessmentNotAffected},
		{"the image by a package URL", one, openVEX(says("X", "not_affected", `{"@id":"pkg:oci/web@`+strings.ReplaceAll(digest, ":", "%3A")+`"}`, first)), api.AssessmentNotAffected},
		{"another image", one, openVEX(says("X", "not_affected", `{"@id":"shop/billing"}`, first)), api.AssessmentAffected},
		{"a part of the image", one, openVEX(says("X", "not_affected", `{"@id":"shop/web","subcomponents":[{"@id":"pkg:deb/debian/curl"}]}`, first)), api.AssessmentNotAffected},
		{"another part of the image", one, openVEX(says("X", "not_affected", `{"@id":"shop/web","subcomponents":[{"@id":"pkg:deb/debian/bash"}]}`, first)), api.AssessmentAffected},
		{"the part, of another image", one, openVEX(says("X", "not_affected", `{"@id":"shop/billing","subcomponents":[{"@id":"pkg:deb/debian/curl"}]}`, first)), api.AssessmentAffected},
		{"under investigation", one, openVEX(says("X", "under_investigation", `{"@id":"shop/web"}`, first)), api.AssessmentAffected},
		{"taken back later", one, openVEX(says("X", "not_affected", `{"@id":"shop/web"}`, first), says("X", "affected", `{"@id":"shop/web"}`, second)), api.AssessmentAffected},
		{"an older statement that stands later", one, openVEX(says("X", "not_affected", `{"@id":"shop/web"}`, second), says("X", "affected", `{"@id":"shop/web"}`, first)), api.AssessmentNotAffected},
		{"one of two faults", two, openVEX(says("CVE-2026-0001", "not_affected", `{"@id":"shop/web"}`, first)), api.AssessmentAffected},
		{"both faults", two, openVEX(says("CVE-2026-0001", "not_affected", `{"@id":"shop/web"}`, first), says("CVE-2026-0002", "fixed", `{"@id":"shop/web"}`, first)), api.AssessmentNotAffected},
		{"CycloneDX, of this image", one, `{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"component":{"type":"container","name":"shop/web"}},"components":[{"bom-ref":"c","type":"library","name":"curl","purl":"pkg:deb/debian/curl"}],
			"vulnerabilities":[{"id":"CVE-2026-0001","analysis":{"state":"not_affected","justification":"code_not_reachable"},"affects":[{"ref":"c"}]}]}`, api.AssessmentNotAffected},
		{"CycloneDX, of another image", one, `{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"component":{"type":"container","name":"shop/billing"}},
			"vulnerabilities":[{"id":"CVE-2026-0001","analysis":{"state":"not_affected","justification":"code_not_reachable"},"affects":[{"ref":"pkg:deb/debian/curl"}]}]}`, api.AssessmentAffected},
		{"CycloneDX, of a component of another document", one, `{"bomFormat":"CycloneDX","specVersion":"1.5",
			"vulnerabilities":[{"id":"CVE-2026-0001","analysis":{"state":"resolved"},"affects":[{"ref":"urn:cdx:f08a6ccd-4dce-4759-bd84-c626675d60a7/1#pkg:deb/debian/curl@7.88.1-10"}]},{"id":"CVE-2026-0002"}]}`, api.AssessmentNotAffected},
		{"CycloneDX, exploitable", one, `{"bomFormat":"CycloneDX","specVersion":"1.5",
			"vulnerabilities":[{"id":"CVE-2026-0001","analysis":{"state":"exploitable"},"affects":[{"ref":"pkg:deb/debian/curl"}]}]}`, api.AssessmentAffected},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := advisory.ParseOSV("x.json", []byte(c.osv))
			must.NoError(t, err)
			statements, err := advisory.ParseVEX("x.vex.json", []byte(c.vex))
			must.NoError(t, err)
			have := a.Assess(advisory.NewIndex(installed(t, curl)), advisory.Options{Statements: statements})
			must.EqOp(t, c.want, have.Status, must.Sprint(have.Reason))
			must.EqOp(t, c.want == api.AssessmentNotAffected, len(have.Exceptions) == 1)
			if len(have.Exceptions) == 1 {
				e := have.Exceptions[0]
				must.EqOp(t, "curl", e.Package)
				must.EqOp(t, "x.vex.json", e.Document)
				must.NotEq(t, "", e.Justification)
			}
		})
	}
}

func TestAssess_LeavesTheOtherPackagesOfAnImageIn(t *testing.T) {
	a, err := advisory.ParseOSV("x.json", []byte(`{"id":"X","affected":[{"package":{"ecosystem":"Debian:12","name":"curl"},"versions":["7.88.1-10"]}]}`))
	must.NoError(t, err)
	statements, err := advisory.ParseVEX("v", []byte(openVEX(says("X", "not_affected", `{"@id":"pkg:deb/debian/curl"}`, "2026-02-01T00:00:00Z"))))
	must.NoError(t, err)
	have := a.Assess(advisory.NewIndex(installed(t, curl, "pkg:deb/debian/libcurl4@7.88.1-10?distro=debian-12&upstream=curl")), advisory.Options{Statements: statements})
	must.EqOp(t, api.AssessmentAffected, have.Status)
	must.Len(t, 1, have.Packages)
	must.EqOp(t, "libcurl4", have.Packages[0].Name)
	must.Len(t, 1, have.Exceptions)
}

func TestParseVEX_RefusesWhatItCannotRead(t *testing.T) {
	for document, want := range map[string]string{
		``:                                      "no JSON document",
		`{}`:                                    "neither OpenVEX 0.2 nor CycloneDX",
		`{"@context":"https://openvex.dev/ns"}`: "neither OpenVEX 0.2 nor CycloneDX",
		`{"@context":"https://openvex.dev/ns/v0.2.0","statements":7}`:                                                                              "no OpenVEX document",
		openVEX(`{"vulnerability":{"name":"X"},"status":"not_affected","products":[{"@id":"a"}]}`):                                                 "not why",
		openVEX(`{"vulnerability":{"name":"X"},"status":"maybe","products":[{"@id":"a"}]}`):                                                        `status "maybe"`,
		openVEX(`{"status":"fixed","products":[{"@id":"a"}]}`):                                                                                     "names no vulnerability",
		openVEX(`{"vulnerability":{"name":"X"},"status":"fixed","products":[{"@id":"a","subcomponents":[{}]}]}`):                                   "subcomponent has no name",
		`{"bomFormat":"CycloneDX","specVersion":"1.5"}`:                                                                                            "no vulnerabilities",
		`{"bomFormat":"CycloneDX","specVersion":"1.6","vulnerabilities":[{"id":"X","analysis":{"state":"not_affected"},"affects":[{"ref":"a"}]}]}`: "not why",
		`{"bomFormat":"CycloneDX","specVersion":"2.0","vulnerabilities":[]}`:                                                                       `it is CycloneDX "2.0"; want 1.2 to 1.7`,
		strings.Repeat(" ", advisory.DocumentMax+1):                                                                                                "larger than 32 MiB",
	} {
		_, err := advisory.ParseVEX("v.json", []byte(document))
		must.ErrorContains(t, err, want)
		must.True(t, api.IsCode(err, api.CodeInvalid))
	}
}

func TestRank_TakesTheGravestFault(t *testing.T) {
	exploited, err := advisory.ParseKEV("kev.json", []byte(`{"vulnerabilities":[
		{"cveID":"CVE-2026-0002","dateAdded":"2026-02-02","dueDate":"2026-02-09","knownRansomwareCampaignUse":"Unknown"},
		{"cveID":"CVE-2026-0001","dateAdded":"2026-01-02","dueDate":"2026-01-09","knownRansomwareCampaignUse":"Known"}]}`))
	must.NoError(t, err)
	probable, err := advisory.ParseEPSS("epss.csv", []byte("#model_version:v1\ncve,epss,percentile\nCVE-2026-0001,0.1,0.5\nCVE-2026-0002,0.2,0.6\n"))
	must.NoError(t, err)
	a := advisory.FromPatch(api.Patch{Name: "x", Fixes: []string{"CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003"}})
	a.Rank(exploited, probable)
	must.Eq(t, &api.Exploited{Name: "CVE-2026-0001", Added: "2026-01-02", Due: "2026-01-09", Ransomware: true}, a.Exploited)
	must.Eq(t, &api.EPSS{Name: "CVE-2026-0002", Probability: 0.2, Percentile: 0.6}, a.EPSS)
	for _, document := range []string{"", "[]", `{"vulnerabilities":[]}`} {
		_, err := advisory.ParseKEV("kev.json", []byte(document))
		must.True(t, api.IsCode(err, api.CodeInvalid))
	}
	_, err = advisory.ParseEPSS("epss.csv", []byte("\x1f\x8b\x08"))
	must.ErrorContains(t, err, "it is packed by gzip: unpack it")
	for _, document := range []string{"", "a,b,c\n", "cve,epss,percentile\nX,1\n", "cve,epss,percentile\nX,2,0\n", "cve,epss,percentile\nX,NaN,0\n", "cve,epss,percentile\nX,\"0,0\n"} {
		_, err := advisory.ParseEPSS("epss.csv", []byte(document))
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(document))
	}
}

func TestParseOSV_TakesTheHighestScore(t *testing.T) {
	for vectors, want := range map[string]api.Severity{
		`{"type":"CVSS_V3","score":"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}`: api.SeverityCritical,
		`{"type":"CVSS_V3","score":"CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"},
		 {"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}`: api.SeverityCritical,
		`{"type":"CVSS_V3","score":"CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}`: api.SeverityLow,
		`{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:P/I:P/A:P"}`:                   api.SeverityHigh,
		`{"type":"CVSS_V3","score":"nonsense"}`:                                     "",
	} {
		a, err := advisory.ParseOSV("x", []byte(`{"id":"X","severity":[`+vectors+`]}`))
		must.NoError(t, err)
		must.EqOp(t, want, a.Severity, must.Sprint(vectors))
	}
}
