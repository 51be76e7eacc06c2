package policies

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// Bounds of the texts around a script, in bytes. What is expected is looked for in the
// first 16 KiB of a command's output.
const (
	commandMax = 4 << 10
	expectMax  = 1 << 10
)

// sourceSchemes are the schemes from which Nomad fetches a payload, as they are written.
func sourceSchemes() []string { return []string{"https", "http", "s3::https", "gcs::https"} }

func payloadArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "source", Want: cty.String, Required: true, Check: func(v cty.Value) error {
			_, err := payloadFile(v.AsString())
			return err
		}},
		{Name: "checksum", Want: cty.String, Required: true, Check: checkChecksum},
	}
}

func verifyArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "command", Want: cty.String, Required: true, Check: lineOf(commandMax)},
		{Name: "expect", Want: cty.String, Check: lineOf(expectMax)},
	}
}

// payloadFile is the name that the file at a source has beside the script. The source
// is one that Nomad can fetch without secrets: who may read a patch may read it too.
func payloadFile(source string) (string, error) {
	example := "want a URL such as \"https://mirror.example/openssl_3.0.16-1_amd64.deb\""
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok || scheme == "" {
		return "", errors.New(example)
	}
	if !slices.Contains(sourceSchemes(), scheme) {
		return "", fmt.Errorf("nomad can't fetch from %q; want a source that begins with %s", scheme+"://", lang.List(sourceSchemes(), "or"))
	}
	u, err := url.Parse("https://" + rest)
	if err != nil || u.Host == "" || strings.ContainsAny(source, " \t\r\n$") {
		return "", errors.New(example)
	}
	if u.User != nil {
		return "", errors.New("it holds a user or a password; the source of a payload is readable by whoever may read the patch")
	}
	for key := range u.Query() {
		switch lower := strings.ToLower(key); {
		case strings.HasPrefix(lower, "aws_") || strings.HasPrefix(lower, "x-amz-") || lower == "sshkey" || strings.Contains(lower, "token") || strings.Contains(lower, "signature"):
			return "", fmt.Errorf("its parameter %q is a secret; the source of a payload is readable by whoever may read the patch", key)
		case lower == "checksum" || lower == "archive" || lower == "filename":
			return "", fmt.Errorf("its parameter %q changes what is fetched; the file is kept as it is, under the name in the URL, and is checked by checksum", key)
		}
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || name == ".." || strings.HasSuffix(u.Path, "/") {
		return "", errors.New("it names no file; " + example)
	}
	return name, nil
}

func checkChecksum(v cty.Value) error {
	digits, ok := strings.CutPrefix(v.AsString(), "sha256:")
	if !ok || len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return errors.New("want \"sha256:\" and 64 lower case hex digits, as sha256sum prints them")
	}
	return nil
}

// lineOf is a checker for texts that a machine is told.
func lineOf(most int) lang.Checker {
	return func(v cty.Value) error {
		text := v.AsString()
		switch {
		case strings.TrimSpace(text) == "":
			return errors.New("want a text that is not empty")
		case len(text) > most:
			return fmt.Errorf("it has %d bytes, and may have %d", len(text), most)
		case strings.ContainsRune(text, 0):
			return errors.New("it holds a zero byte, which ends a text in the machine")
		}
		return nil
	}
}

// readScriptBlocks reads the payload and verify blocks of a change.
func (s *patchParser) readScriptBlocks(b *hclsyntax.Block, out *api.Apply) {
	known := []string{"verify"}
	if out.Kind == api.ApplyScript {
		known = []string{"payload", "verify"}
	}
	files, names, verified := map[string]hcl.Range{}, map[string]hcl.Range{}, false
	for _, inner := range b.Body.Blocks {
		switch {
		case inner.Type == "payload" && out.Kind == api.ApplyScript:
			if p, ok := s.readPayload(inner, files); ok && s.Unique(names, inner) {
				out.Payloads = append(out.Payloads, p)
			}
		case inner.Type == "verify" && verified:
			s.Problem(inner.DefRange(), "Duplicate block", "A change takes one block \"verify\"; join the commands with &&.")
		case inner.Type == "verify":
			out.Verify, verified = s.readVerify(inner), true
		case inner.Type == "payload":
			s.Problem(inner.DefRange(), "Unknown block", "Only apply \"script\" takes a payload: nothing in apply %q could use it.", out.Kind)
		default:
			s.Problem(inner.DefRange(), "Unknown block", "apply %q has no block %q.%s It takes %s.",
				out.Kind, inner.Type, lang.DidYouMean(inner.Type, known), lang.List(known, "and"))
		}
	}
}

// readPayload reads one file that a script needs. Files are the names of those before
// it: they all lie in one folder.
func (s *patchParser) readPayload(b *hclsyntax.Block, files map[string]hcl.Range) (api.Payload, bool) {
	if !s.Labels(b, 1) {
		return api.Payload{}, false
	}
	s.NoBlocks(b)
	before := len(s.Diags)
	f := s.ReadBlock(b, payloadArguments(), s.constants).Values(nil)
	if len(s.Diags) > before {
		return api.Payload{}, false
	}
	out := api.Payload{Name: f.Label(), Source: f.Text("source", ""), Checksum: f.Text("checksum", "")}
	name, err := payloadFile(out.Source)
	if err != nil {
		return api.Payload{}, false // can't be: the argument was checked
	}
	if first, ok := files[name]; ok {
		s.Problem(b.Body.Attributes["source"].Expr.Range(), "Duplicate file",
			"The payload at %s has the file name %q too, and all payloads lie in one folder.", lang.Place(first), name)
		return api.Payload{}, false
	}
	files[name] = b.DefRange()
	return out, true
}

func (s *patchParser) readVerify(b *hclsyntax.Block) *api.Verify {
	s.Labels(b, 0)
	s.NoBlocks(b)
	before := len(s.Diags)
	f := s.ReadBlock(b, verifyArguments(), s.constants).Values(nil)
	out := &api.Verify{Command: s.exact(b, "command", f.Text("command", "")), Expect: s.exact(b, "expect", f.Text("expect", ""))}
	if len(s.Diags) > before {
		return nil
	}
	return out
}

// notText says why the contents of a file can't be carried as they are: patches travel
// as JSON, which holds text.
func notText(contents string) error {
	for at, r := range contents {
		if r == utf8.RuneError && !strings.HasPrefix(contents[at:], string(utf8.RuneError)) {
			return fmt.Errorf("it is no UTF-8 text: byte 0x%02x at offset %d; what a patch needs and is no text goes into a payload", contents[at], at)
		}
	}
	return nil
}

// CheckText refuses the contents of a file that is sent along and is no text.
func CheckText(name, contents string) error {
	if err := notText(contents); err != nil {
		return api.Errorf(api.CodeInvalid, "read %s: %v", name, err)
	}
	return nil
}
