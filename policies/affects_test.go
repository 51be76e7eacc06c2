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
		{"Debian:bookworm", "package = \"bash\"\nbelow = \"5.2\"", api.Affected{Ecosystem: "deb", Release: "Debian:12", Package: "bash", Below: "5.2"}},
		{"Alpine:3.20", "source = \"xz\"\nbelow = \"5.6.2-r0\"", api.Affected{Ecosystem: "apk", Release: "Alpine:v3.20", Source: "xz", Below: "5.6.2-r0"}},
		{
			"deb", "package = \"bash\"\nbelow = \"5.2\"\nrelease = \"Debian:bookworm\"",
			api.Affected{Ecosystem: "deb", Release: "Debian:12", Package: "bash", Below: "5.2"},
		},
		{"Go", "package = \"example.com/x\"\nbelow = \"1.2.3\"", api.Affected{Ecosystem: "go", Package: "example.com/x", Below: "1.2.3"}},
	} {
		p, diags := policies.ParsePatch(affectsPatch(c.label, c.body))
		must.Nil(t, policies.DiagnosticsError(diags, nil))
		must.Eq(t, []api.Affected{c.want}, p.Affects)
	}
}

func TestParsePatch_RefusesWhatNobodyCanCompare(t *testing.T) {
	for _, c := range []struct{ label, body, want, place string }{
		{"dbe", "package = \"curl\"\nbelow = \"1\"", `did you mean "deb"?`, "3,3"},
		{"debian:12", "package = \"curl\"\nbelow = \"1\"", `did you mean "Debian:12"?`, "3,3"},
		{"Debian:99", "package = \"curl\"\nbelow = \"1\"", `Debian has no release "99"`, "3,3"},
		{"deb", "below = \"1\"", "want one of package", "3,3"},
		{"deb", "package = \"aa\"\nsource = \"bb\"\nbelow = \"1\"", "want one of package", "3,3"},
		{"npm", "source = \"b\"\nbelow = \"1.0.0\"", "packages of npm have no source package", "4,10"},
		{"deb", "package = \"aa\"", "want below", "3,3"},
		{"deb", "package = \"aa\"\nfrom = \"1\"\nversions = [\"2\"]", "want below, where it ends", "3,3"},
		{"deb", "package = \"aa\"\nfrom = \"2\"\nbelow = \"1\"", "from 2 is not older than below 1", "5,8"},
		{"go", "package = \"a\"\nbelow = \"one\"", `"one" is no version of go`, "5,9"},
		{"deb", "package = \"aa\"\nbelow = \"1\"\nrelease = \"deb\"", "want a distribution and its version", "6,11"},
		{"deb", "package = \"aa\"\nbelow = \"1\"\nrelease = \"Debian:12.4\"", `did you mean "Debian:12"?`, "6,11"},
		{"deb", "package = \"aa\"\nbelow = \"1\"\nrelease = \"Alpine:v3.20\"", "has packages of apk, not of deb", "6,11"},
		{"Debian:12", "package = \"aa\"\nbelow = \"1\"\nrelease = \"Debian:13\"", "another one than the label's", "6,11"},
		{"deb", "package = \"BASH*\"\nbelow = \"1\"", "patterns don't work here", "4,11"},
		{"deb", "source = \"BASH\"\nbelow = \"1\"", `did you mean "bash"?`, "4,10"},
		{"deb", "package = \"bash\"\nbelow = \"1\"\narch = \"x86_64\"", `did you mean "amd64"?`, "6,8"},
		{"deb", "package = \"bash\"\nversions = [\"5.2.15-2\", \"\"]", "element 2 is empty", "5,12"},
	} {
		file := affectsPatch(c.label, c.body)
		_, diags := policies.ParsePatch(file)
		wrong := policies.DiagnosticsError(diags, []api.SourceFile{file})
		must.NotNil(t, wrong, must.Sprint(c))
		must.StrContains(t, diags.Error(), c.want)
		must.StrContains(t, diags.Error(), "p.hcl:"+c.place)
	}
}
