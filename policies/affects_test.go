package policies_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

// affectsPatch is a patch file with one block affects.
func affectsPatch(label, body string) api.SourceFile {
	return api.SourceFile{Name: "p.hcl", Text: `patch "xz" {
  severity = "critical"
  affects "` + label + `" {
` + body + `
  }
  target { jobs = ["web"] }
  apply "image" {
    task  = "vm"
    image = "/images/new.qcow2"
  }
}
`}
}

func TestParsePatch_ReadsWhatIsAffected(t *testing.T) {
	for _, c := range []struct {
		label, body string
		want        api.Affected
	}{
		{"deb", "package = \"curl\"\nbelow = \"8.14.1\"", api.Affected{Ecosystem: "deb", Package: "curl", Below: "8.14.1"}},
		{
			"Debian:13", "source = \"xz-utils\"\nfrom = \"5.6.0\"\nbelow = \"5.6.1+really5.4.5-1\"\narch = \"amd64\"",
			api.Affected{Ecosystem: "deb", Source: "xz-utils", Release: "Debian:13", From: "5.6.0", Below: "5.6.1+really5.4.5-1", Arch: "amd64"},
		},
		{
			"rpm", "package = \"xz\"\nrelease = \"Red Hat:enterprise_linux:9::baseos\"\nversions = [\"5.6.0-1.el9\"]",
			api.Affected{Ecosystem: "rpm", Package: "xz", Release: "Red Hat:9", Versions: []string{"5.6.0-1.el9"}},
		},
		{"Go", "package = \"example.com/x\"\nbelow = \"1.2.3\"", api.Affected{Ecosystem: "go", Package: "example.com/x", Below: "1.2.3"}},
	} {
		p, diags := policies.ParsePatch(affectsPatch(c.label, c.body))
		must.Nil(t, policies.DiagnosticsError(diags, nil))
		must.Eq(t, []api.Affected{c.want}, p.Affects)
	}
}

func TestParsePatch_RefusesWhatNobodyCanCompare(t *testing.T) {
	for _, c := range [][3]string{
		{"dbe", "package = \"curl\"\nbelow = \"1\"", `did you mean "deb"?`},
		{"deb", "below = \"1\"", "want one of package"},
		{"deb", "package = \"a\"\nsource = \"b\"\nbelow = \"1\"", "want one of package"},
		{"npm", "source = \"b\"\nbelow = \"1.0.0\"", "packages of npm have no source package"},
		{"deb", "package = \"a\"", "want below"},
		{"deb", "package = \"a\"\nfrom = \"1\"\nversions = [\"2\"]", "want below, where it ends"},
		{"deb", "package = \"a\"\nfrom = \"2\"\nbelow = \"1\"", "from 2 is not older than below 1"},
		{"go", "package = \"a\"\nbelow = \"one\"", `"one" is no version of go`},
		{"deb", "package = \"a\"\nbelow = \"1\"\nrelease = \"deb\"", "want a distribution and its version"},
		{"deb", "package = \"a\"\nbelow = \"1\"\nrelease = \"Alpine:v3.20\"", "has packages of apk, not of deb"},
		{"Debian:12", "package = \"a\"\nbelow = \"1\"\nrelease = \"Debian:13\"", "another one than the label's"},
	} {
		file := affectsPatch(c[0], c[1])
		_, diags := policies.ParsePatch(file)
		wrong := policies.DiagnosticsError(diags, []api.SourceFile{file})
		must.NotNil(t, wrong, must.Sprint(c))
		must.StrContains(t, diags.Error(), c[2])
		must.StrContains(t, diags.Error(), "p.hcl:3,")
	}
}
