package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
	"github.com/oakumhq/oakum/policies/vocabulary"
)

// ParsePatch reads a patch file, which holds exactly one patch block. Contents
// of other files come from file.Files only. The patch is complete except for
// who submitted it, and when.
func ParsePatch(file api.SourceFile) (api.Patch, hcl.Diagnostics) {
	s := lang.Read(file)
	if s.Body == nil {
		return api.Patch{}, s.Diags
	}
	for _, attr := range lang.Attributes(s.Body) {
		s.Problem(attr.NameRange, "Unknown argument", "A patch file holds one patch block and nothing beside it; %q can't stand here.", attr.Name)
	}
	var patches []*hclsyntax.Block
	for _, b := range s.Body.Blocks {
		if b.Type != "patch" {
			s.Problem(b.DefRange(), "Unknown block", "A patch file holds one patch block and nothing beside it; %q can't stand here.", b.Type)
			continue
		}
		patches = append(patches, b)
	}
	switch {
	case len(patches) == 0:
		s.Problem(lang.FileRange(file.Name), "No patch", "The file holds no patch block; want: patch \"name\" { ... }.")
	case len(patches) > 1:
		s.Problem(patches[1].DefRange(), "Several patches", "A file holds exactly one patch block; put the others into files of their own.")
	}
	if s.Diags.HasErrors() {
		return api.Patch{}, s.Diags
	}
	p := &patchParser{Source: s, files: file.Files, constants: vocabulary.ConstantScope(map[string]function.Function{"file": fileFunction(file)})}
	patch := p.readPatch(patches[0])
	if s.Diags.HasErrors() {
		return api.Patch{}, s.Diags
	}
	patch.File = file
	digest, err := patchDigest(patch)
	if err != nil {
		s.Problem(patches[0].DefRange(), "Patch without a digest", "The patch can't be written as JSON: %v.", err)
		return api.Patch{}, s.Diags
	}
	patch.Digest = digest
	return patch, s.Diags
}

// patchDigest is over what the patch says, not over how its file is laid out.
func patchDigest(p api.Patch) (string, error) {
	content, err := json.Marshal(struct {
		Name        string
		Description string
		Severity    api.Severity
		Fixes       []string
		Affects     []api.Affected
		Targets     []api.TargetSelector
		Apply       []api.Apply
		Advisory    *api.PatchDocument `json:",omitempty"` // so that the digests of former patches stay
		VEX         *api.PatchDocument `json:",omitempty"`
	}{p.Name, p.Description, p.Severity, p.Fixes, p.Affects, p.Targets, p.Apply, p.Advisory, p.VEX})
	if err != nil {
		return "", fmt.Errorf("marshal patch: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// patchParser reads one patch file.
type patchParser struct {
	*lang.Source
	files     map[string]string // contents of the files that came with it, by path
	constants *lang.Scope       // no variables, and the function file
}

// patchArguments are those of a patch itself.
func patchArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "description", Doc: "for people", Want: cty.String},
		{Name: "severity", Doc: "how grave the faults are", Want: cty.String, Required: true, Check: lang.OneOf(api.Severities()...)},
		{Name: "fixes", Doc: "names of the faults that it fixes", Want: cty.List(cty.String)},
		{Name: "advisory", Doc: "file(\"…\") of an OSV document", Since: 7, Want: cty.String},
		{Name: "vex", Doc: "file(\"…\") of statements about who is not affected", Since: 7, Want: cty.String},
	}
}

func (s *patchParser) readPatch(b *hclsyntax.Block) api.Patch {
	patch := api.Patch{}
	if s.Labels(b, 1) {
		patch.Name = b.Labels[0]
	}
	fields := s.ReadBlock(b, patchArguments(), s.constants).Values(nil)
	patch.Description = fields.Text("description", "")
	patch.Severity = api.Severity(fields.Text("severity", ""))
	patch.Fixes = fields.Texts("fixes")
	patch.Advisory, patch.VEX = s.readDocument(b, "advisory", checkOSV), s.readDocument(b, "vex", checkVEX)
	kinds := []string{"affects", "apply", "target"}
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "affects":
			patch.Affects = append(patch.Affects, s.readAffects(inner))
		case "target":
			patch.Targets = append(patch.Targets, s.readSelector(inner))
		case "apply":
			patch.Apply = append(patch.Apply, s.readApply(inner))
		default:
			s.Problem(inner.DefRange(), "Unknown block", "A patch has no block %q.%s It takes %s.",
				inner.Type, lang.DidYouMean(inner.Type, kinds), lang.List(kinds, "and"))
		}
	}
	if len(patch.Targets) == 0 {
		s.Problem(b.DefRange(), "Missing block", "A patch needs a target block that says what it is for, as in: target { jobs = [\"web\"] }.")
	}
	if len(patch.Apply) == 0 {
		s.Problem(b.DefRange(), "Missing block", "A patch needs an apply block that says what it changes: apply \"image\", \"script\" or \"job\".")
	}
	s.checkApplies(b, patch.Apply)
	return patch
}

// selectorArguments are those of a patch's target.
func selectorArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "namespace", Doc: "of Nomad", Default: cty.StringVal("default"), Want: cty.String, Check: lang.NotEmpty},
		{Name: "jobs", Doc: "names or patterns: * stands for any characters, ? for one", Want: cty.List(cty.String), Required: true, Check: globs},
		{Name: "groups", Doc: "the same of task groups; without, all", Want: cty.List(cty.String), Check: globs},
		{Name: "where", Doc: "a condition over target", Want: cty.Bool, Scope: vocabulary.SelectorScope()},
	}
}

func (s *patchParser) readSelector(b *hclsyntax.Block) api.TargetSelector {
	s.Labels(b, 0)
	s.NoBlocks(b)
	block := s.ReadBlock(b, selectorArguments(), s.constants)
	out := api.TargetSelector{}
	if where := block.Fields["where"]; where != nil {
		out.Where = string(where.Range.SliceBytes(s.Text))
	}
	f := block.Values(nil)
	out.Namespace = f.Text("namespace", "")
	out.Jobs = f.Texts("jobs")
	out.Groups = f.Texts("groups")
	return out
}

// globs checks a list of name patterns.
func globs(v cty.Value) error {
	if v.LengthInt() == 0 {
		return fmt.Errorf("want at least one name or pattern, such as %q", "web-*")
	}
	for _, p := range lang.TextsOf(v) {
		if p == "" || strings.ContainsAny(p, " \t\n") {
			return fmt.Errorf("%q is no name or pattern: want names in which * stands for any characters and ? for one", p)
		}
	}
	return nil
}

// fileFunction returns the contents of files that came with the source.
func fileFunction(file api.SourceFile) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := sentFile(file, args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			return cty.StringVal(text), nil
		},
	})
}

// sentFile is the contents of a file that came with a source.
func sentFile(file api.SourceFile, name string) (string, error) {
	if !localPath(name) {
		return "", function.NewArgErrorf(0, "%q leads out of the file's directory; want a relative path below it", name)
	}
	text, ok := file.Files[name]
	if !ok {
		return "", function.NewArgErrorf(0, "the contents of %q did not come along; is the file there?", name)
	}
	if err := lang.NoText(text); err != nil {
		return "", function.NewArgErrorf(0, "%q can't be sent along: %v", name, err)
	}
	return text, nil
}

// localPath reports whether a path stays below the directory of the file that
// names it, so that a patch can't carry off other files of the pipeline.
func localPath(name string) bool {
	clean := path.Clean(name)
	return name != "" && !path.IsAbs(name) && clean != ".." && !strings.HasPrefix(clean, "../") && !strings.Contains(name, `\`)
}

// FilesWanted returns the paths that a patch or policy file reads with file("..."), so
// that the client can send their contents along. Paths that lead out of the
// file's directory are left out: whoever parses it refuses them.
func FilesWanted(file api.SourceFile) []string {
	s := lang.Read(file)
	if s.Body == nil {
		return nil
	}
	var wanted []string
	_ = hclsyntax.VisitAll(s.Body, func(node hclsyntax.Node) hcl.Diagnostics {
		call, ok := node.(*hclsyntax.FunctionCallExpr)
		if !ok {
			return nil
		}
		if name, ok := lang.FileCall(call); ok && localPath(name) && !slices.Contains(wanted, name) {
			wanted = append(wanted, name)
		}
		return nil
	})
	slices.Sort(wanted)
	return wanted
}
