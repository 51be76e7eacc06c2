package policies_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

// sentAlong reads a patch file with the files that it names.
func sentAlong(t testing.TB, path string) api.SourceFile {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	file := api.SourceFile{Name: filepath.Base(path), Text: string(text), Files: map[string]string{}}
	for _, name := range policies.FilesWanted(file) {
		contents, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		must.NoError(t, err)
		file.Files[name] = string(contents)
	}
	return file
}

// TestParsePatch_KeepsTheBytesOfAScript knows the digests of the scripts: line ends of
// another system, decomposed letters and compatibility ideographs stay as they are.
func TestParsePatch_KeepsTheBytesOfAScript(t *testing.T) {
	t.Parallel()
	for name, digest := range map[string]string{
		"crlf":  "2258f5600ae000d2d435053e19d6e4e366d1a62efe2f418ecb0bac2ea4cebc4b",
		"nfd":   "638e318847e70ea3b1eb6465b6c67af51e800625e7b8199e1c41ef6b607d0aff",
		"kanji": "fecea161ab0a055ddfd4fac3e36073b9b281205d7a09682cddbd91e87f7a0da4",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := sentAlong(t, "testdata/exact/"+name+".patch.hcl")
			patch, diags := policies.ParsePatch(file)
			must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
			sum := sha256.Sum256([]byte(patch.Apply[0].Script))
			must.EqOp(t, digest, hex.EncodeToString(sum[:]))
		})
	}
}

func TestParsePatch_RefusesAScriptThatIsNoText(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"installer": `"installer.run" can't be sent along: it is no UTF-8 text: byte 0x80 at offset 57; what a patch needs and is no text goes into a payload`,
		"latin1":    `"latin1.sh" can't be sent along: it is no UTF-8 text: byte 0xdf at offset 29; what a patch needs and is no text goes into a payload`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := sentAlong(t, "testdata/exact/"+name+".patch.hcl")
			_, diags := policies.ParsePatch(file)
			inFile(t, file, diags)
			must.StrContains(t, policies.DiagnosticsError(diags, []api.SourceFile{file}).Error(), want)
		})
	}
	must.NoError(t, policies.CheckText("a.sh", "echo \ufffd"))
	must.EqError(t, policies.CheckText("a.sh", "echo \xff"), "read a.sh: it is no UTF-8 text: byte 0xff at offset 5; what a patch needs and is no text goes into a payload")
}

// TestParsePatch_KeepsWhatAShellWrites has a script in which HCL's signs are escaped.
func TestParsePatch_KeepsWhatAShellWrites(t *testing.T) {
	t.Parallel()
	file := sentAlong(t, "testdata/exact/escaped.patch.hcl")
	patch, diags := policies.ParsePatch(file)
	must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
	must.EqOp(t, "VERSION=3.0.16\necho \"${VERSION}\"\ncurl -s -o /dev/null -w \"%{http_code}\" http://127.0.0.1:8080/health\n", patch.Apply[0].Script)
}

// TestParsePatch_JoinsOnlyTextsThatStay joins files and texts of the patch.
func TestParsePatch_JoinsOnlyTextsThatStay(t *testing.T) {
	t.Parallel()
	template := `patch "join" {
  severity = "low"
  target { jobs = ["store"] }
  apply "script" {
    task   = "vm"
    script = EXPR
  }
}`
	cases := map[string]struct{ expr, script, wrong string }{
		"a file in quotes":         {`"${file("nfd.sh")}"`, "u\u0308\n", ""},
		"a file in parentheses":    {`(file("nfd.sh"))`, "u\u0308\n", ""},
		"files that stay":          {`"${file("a.sh")}${file("a.sh")}"`, "é\né\n", ""},
		"a file that would change": {`"set -e\n${file("nfd.sh")}"`, "", `HCL would change the bytes of "nfd.sh"`},
		"a text that joins a file": {`"${file("e.sh")}\u0308"`, "", "HCL would change some characters"},
		"marks that stay":          {`"echo ส\u0e31ว"`, "echo สัว", ""},
		"a function":               {`lower("ECHO")`, "echo", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := api.SourceFile{Name: "p.hcl", Text: strings.Replace(template, "EXPR", c.expr, 1), Files: map[string]string{
				"nfd.sh": "u\u0308\n", "a.sh": "é\n", "e.sh": "e",
			}}
			patch, diags := policies.ParsePatch(file)
			failure := policies.DiagnosticsError(diags, []api.SourceFile{file})
			if c.wrong != "" {
				must.StrContains(t, failure.Error(), c.wrong)
				return
			}
			must.Nil(t, failure)
			must.EqOp(t, c.script, patch.Apply[0].Script)
		})
	}
}

func TestParsePatch_ReadsPayloadsAndProofs(t *testing.T) {
	t.Parallel()
	sum := "sha256:" + strings.Repeat("ab", 32)
	file := api.SourceFile{Name: "p.hcl", Text: `patch "openssl" {
  severity = "high"
  target { jobs = ["store"] }
  apply "script" {
    task   = "vm"
    script = "dpkg -i *.deb"
    reboot = true
    payload "openssl" {
      source   = "https://mirror.example/pool/openssl_3.0.16-1_amd64.deb"
      checksum = "` + sum + `"
    }
    payload "libssl" {
      source   = "s3::https://s3.example/patches/libssl3_3.0.16-1_amd64.deb?region=eu-1"
      checksum = "` + sum + `"
    }
    verify {
      command = "dpkg -s openssl"
      expect  = "Version: 3.0.16-1"
    }
  }
  apply "job" {
    task = "server"
    env  = { TLS = "1.3" }
    verify { command = "server --version" }
  }
}`}
	patch, diags := policies.ParsePatch(file)
	must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
	must.Eq(t, []api.Apply{
		{
			Kind: api.ApplyScript, Task: "vm", Script: "dpkg -i *.deb", Reboot: true,
			Payloads: []api.Payload{
				{Name: "openssl", Source: "https://mirror.example/pool/openssl_3.0.16-1_amd64.deb", Checksum: sum},
				{Name: "libssl", Source: "s3::https://s3.example/patches/libssl3_3.0.16-1_amd64.deb?region=eu-1", Checksum: sum},
			},
			Verify: &api.Verify{Command: "dpkg -s openssl", Expect: "Version: 3.0.16-1"},
		},
		{Kind: api.ApplyJob, Task: "server", Env: map[string]string{"TLS": "1.3"}, Verify: &api.Verify{Command: "server --version"}},
	}, patch.Apply)
}

// TestParsePolicy_KeepsTheMeaningOfAText has a reason in decomposed letters, which HCL
// composes: it is the same text, and only people read it.
func TestParsePolicy_KeepsTheMeaningOfAText(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "p" {
  specificity = 1
  freeze "f" {
    from   = "2026-01-01"
    to     = "2027-01-01"
    reason = "Müller"
  }
}`)
	decision, err := lib.Decide(facts())
	must.NoError(t, err)
	must.EqOp(t, "Müller", decision.Freezes[0].Reason)
}

func TestParsePatch_ReadsTheSourceOfAnImage(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0a", 32)
	for source, image := range map[string]string{
		"https://images.example/web-2.qcow2":                    "local/web-2.qcow2",
		"s3::https://s3.example/images/2026/web-2.raw?region=x": "local/web-2.raw",
	} {
		file := api.SourceFile{Name: "web.hcl", Text: `patch "web" {
  severity = "low"
  target { jobs = ["web"] }
  apply "image" {
    task     = "vm"
    source   = "` + source + `"
    checksum = "sha256:` + sum + `"
  }
}`}
		patch, diags := policies.ParsePatch(file)
		must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
		must.Eq(t, []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: image, Source: source, Digest: sum}}, patch.Apply)
	}
}

func TestParsePatch_BoundsWhatItsFilesAddUpTo(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 6<<20)
	read := func(script string) *api.Error {
		file := api.SourceFile{Name: "p.hcl", Files: map[string]string{"a.sh": large}, Text: `patch "join" {
  severity = "low"
  target { jobs = ["store"] }
  apply "script" {
    task   = "vm"
    script = ` + script + `
  }
}`}
		_, diags := policies.ParsePatch(file)
		return policies.DiagnosticsError(diags, []api.SourceFile{file})
	}
	const call = `file("a.sh")`
	must.Nil(t, read(call))
	for _, script := range []string{
		`"` + strings.Repeat("${"+call+"}", 40) + `"`, "[for a in [" + strings.Repeat("1,", 40) + "] : " + call + "][0]",
	} {
		must.ErrorContains(t, read(script), "return more than 64 MiB together")
	}
}
