package policies

import (
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

func payloadArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "source", Doc: "the URL of the file", Want: cty.String, Required: true, Check: lang.Fetchable},
		{Name: "checksum", Doc: "of the file", Want: cty.String, Required: true, Check: lang.Checksum},
	}
}

func verifyArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "command", Doc: "run under /bin/sh -c in what was patched; it must end with status 0", Want: cty.String, Required: true, Check: lang.ForMachine(commandMax)},
		{Name: "expect", Doc: "what its output must hold", Want: cty.String, Check: lang.ForMachine(expectMax)},
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
	name, err := lang.FetchedFile(out.Source)
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
	out := &api.Verify{Command: s.Exact(b, "command", f.Text("command", ""), s.files), Expect: s.Exact(b, "expect", f.Text("expect", ""), s.files)}
	if len(s.Diags) > before {
		return nil
	}
	return out
}

// CheckText refuses the contents of a file that is sent along and is no text.
func CheckText(name, contents string) error {
	if err := lang.NoText(contents); err != nil {
		return api.Errorf(api.CodeInvalid, "read %s: %v", name, err)
	}
	return nil
}
