package lang_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// TestRead_SaysHowAShellsSignsAreWritten has shell in a heredoc. The second line of the
// script is the one that is wrong.
func TestRead_SaysHowAShellsSignsAreWritten(t *testing.T) {
	t.Parallel()
	const hint = `write $${ and %%{ here, or keep the script in a file: file("patch.sh")`
	for name, c := range map[string]struct{ line, place, says string }{
		"default value":     {`echo "${NAME:-none}"`, "p.hcl:4,15", "Extra characters after interpolation expression"},
		"part of a value":   {`echo "${NAME:0:3}"`, "p.hcl:4,15", "Extra characters after interpolation expression"},
		"upper case":        {`echo "${NAME^^}"`, "p.hcl:4,15", "Extra characters after interpolation expression"},
		"all of an array":   {`echo "${NAMES[@]}"`, "p.hcl:4,17", "Invalid character"},
		"all arguments":     {`echo "${@}"`, "p.hcl:4,11", "Invalid character"},
		"first argument":    {`echo "${1}"`, "p.hcl:4,11", "${1} stands for 1 itself"},
		"length":            {`echo "${#NAME}"`, "p.hcl:4,9", `"#" begins a comment here`},
		"length of array":   {`echo "${#NAMES[@]}"`, "p.hcl:4,9", `"#" begins a comment here`},
		"without beginning": {`echo "${NAME##*/}"`, "p.hcl:4,9", `"#" begins a comment here`},
		"replaced":          {`echo "${NAME//a/b}"`, "p.hcl:4,9", `"//" begins a comment here`},
		"curl's format":     {`curl -w "%{http_code}" localhost`, "p.hcl:4,14", `"http_code" is not a valid template control keyword`},
		"rpm's format":      {`rpm -q --qf '%{VERSION}' openssl`, "p.hcl:4,18", `"VERSION" is not a valid template control keyword`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "patch \"p\" {\n  script = <<-SH\n  set -e\n  " + c.line + "\n  SH\n}\n"
			file := api.SourceFile{Name: "p.hcl", Text: text}
			s := lang.Read(file)
			must.Nil(t, s.Body)
			said := strings.Join(lang.Error(s.Diags, []api.SourceFile{file}).Details, "\n")
			must.StrContains(t, said, c.place)
			must.StrContains(t, said, c.says)
			must.StrContains(t, said, hint)
		})
	}
	for name, line := range map[string]string{
		"escaped":         `echo "$${NAME}" "$${#NAME}" "$${1}"`,
		"escaped percent": `curl -w "%%{http_code}"`,
		"without braces":  `echo "$NAME" $1 $# # a comment}`,
		"HCL's own":       `echo "${cat.name}" "${"$"}"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lang.Read(api.SourceFile{Name: "p.hcl", Text: "patch \"p\" {\n  script = <<-SH\n  " + line + "\n  SH\n}\n"})
			must.Len(t, 0, s.Diags)
		})
	}
}
