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
)

// ParsePatch reads a patch file, which holds exactly one patch block. Contents
// of other files come from file.Files only. The patch is complete except for
// who submitted it, and when.
func ParsePatch(file api.SourceFile) (api.Patch, hcl.Diagnostics) {
	s := readSource(file)
	if s.body == nil {
		return api.Patch{}, s.diags
	}
	for _, attr := range sortedAttributes(s.body) {
		s.problem(attr.NameRange, "Unknown argument", "A patch file holds one patch block and nothing beside it; %q can't stand here.", attr.Name)
	}
	var patches []*hclsyntax.Block
	for _, b := range s.body.Blocks {
		if b.Type != "patch" {
			s.problem(b.DefRange(), "Unknown block", "A patch file holds one patch block and nothing beside it; %q can't stand here.", b.Type)
			continue
		}
		patches = append(patches, b)
	}
	switch {
	case len(patches) == 0:
		s.problem(fileRange(file.Name), "No patch", "The file holds no patch block; want: patch \"name\" { ... }.")
	case len(patches) > 1:
		s.problem(patches[1].DefRange(), "Several patches", "A file holds exactly one patch block; put the others into files of their own.")
	}
	if s.diags.HasErrors() {
		return api.Patch{}, s.diags
	}
	patch := s.readPatch(patches[0], file)
	if s.diags.HasErrors() {
		return api.Patch{}, s.diags
	}
	patch.File = file
	digest, err := patchDigest(patch)
	if err != nil {
		s.problem(patches[0].DefRange(), "Patch without a digest", "The patch can't be written as JSON: %v.", err)
		return api.Patch{}, s.diags
	}
	patch.Digest = digest
	return patch, s.diags
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
	}{p.Name, p.Description, p.Severity, p.Fixes, p.Affects, p.Targets, p.Apply})
	if err != nil {
		return "", fmt.Errorf("marshal patch: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

func (s *source) readPatch(b *hclsyntax.Block, file api.SourceFile) api.Patch {
	sc := constantScope(map[string]function.Function{"file": fileFunction(file)})
	patch := api.Patch{}
	if s.labels(b, 1) {
		patch.Name = b.Labels[0]
	}
	fields := s.readBlock(b, []argument{
		{name: "description", want: cty.String},
		{name: "severity", want: cty.String, required: true, check: oneOf(severities()...)},
		{name: "fixes", want: cty.List(cty.String)},
	}, sc, sc)
	patch.Description = fields.text("description", "")
	patch.Severity = api.Severity(fields.text("severity", ""))
	patch.Fixes = fields.texts("fixes")
	kinds := []string{"affects", "apply", "target"}
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "affects":
			patch.Affects = append(patch.Affects, s.readAffects(inner, sc))
		case "target":
			patch.Targets = append(patch.Targets, s.readSelector(inner, sc))
		case "apply":
			patch.Apply = append(patch.Apply, s.readApply(inner, sc))
		default:
			s.problem(inner.DefRange(), "Unknown block", "A patch has no block %q.%s It takes %s.",
				inner.Type, didYouMean(inner.Type, kinds), list(kinds, "and"))
		}
	}
	if len(patch.Targets) == 0 {
		s.problem(b.DefRange(), "Missing block", "A patch needs a target block that says what it is for, as in: target { jobs = [\"web\"] }.")
	}
	if len(patch.Apply) == 0 {
		s.problem(b.DefRange(), "Missing block", "A patch needs an apply block that says what it changes: apply \"image\", \"script\" or \"job\".")
	}
	s.checkApplies(b, patch.Apply)
	return patch
}

func (s *source) readAffects(b *hclsyntax.Block, sc *scope) api.Affected {
	s.labels(b, 1)
	s.noBlocks(b)
	f := s.readBlock(b, []argument{
		{name: "package", want: cty.String, required: true, check: notEmpty},
		{name: "below", want: cty.String, required: true, check: notEmpty},
	}, sc, sc)
	return api.Affected{Ecosystem: f.label, Package: f.text("package", ""), Below: f.text("below", "")}
}

func (s *source) readSelector(b *hclsyntax.Block, sc *scope) api.TargetSelector {
	s.labels(b, 0)
	s.noBlocks(b)
	where := b.Body.Attributes["where"]
	out := api.TargetSelector{}
	if where != nil {
		rest := hclsyntax.Attributes{}
		for name, a := range b.Body.Attributes {
			if name != "where" {
				rest[name] = a
			}
		}
		f := s.readField(where, argument{name: "where", want: cty.Bool}, selectorScope())
		if f != nil {
			out.Where = string(f.rng.SliceBytes(s.text))
		}
		trimmed := *b.Body
		trimmed.Attributes = rest
		copied := *b
		copied.Body = &trimmed
		b = &copied
	}
	f := s.readBlock(b, []argument{
		{name: "namespace", want: cty.String, check: notEmpty},
		{name: "jobs", want: cty.List(cty.String), required: true, check: globs},
		{name: "groups", want: cty.List(cty.String), check: globs},
	}, sc, sc)
	out.Namespace = f.text("namespace", "default")
	out.Jobs = f.texts("jobs")
	out.Groups = f.texts("groups")
	return out
}

// globs checks a list of name patterns.
func globs(v cty.Value) error {
	if v.LengthInt() == 0 {
		return fmt.Errorf("want at least one name or pattern, such as %q", "web-*")
	}
	for _, p := range textsOf(v) {
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
			name := args[0].AsString()
			if !localPath(name) {
				return cty.NilVal, function.NewArgErrorf(0, "%q leads out of the patch file's directory; want a relative path below it", name)
			}
			text, ok := file.Files[name]
			if !ok {
				return cty.NilVal, function.NewArgErrorf(0, "the contents of %q did not come with the patch; is the file there?", name)
			}
			return cty.StringVal(text), nil
		},
	})
}

// localPath reports whether a path stays below the directory of the file that
// names it, so that a patch can't carry off other files of the pipeline.
func localPath(name string) bool {
	clean := path.Clean(name)
	return name != "" && !path.IsAbs(name) && clean != ".." && !strings.HasPrefix(clean, "../") && !strings.Contains(name, `\`)
}

// FilesWanted returns the paths that a patch file reads with file("..."), so
// that the client can send their contents along. Paths that lead out of the
// file's directory are left out: ParsePatch refuses them.
func FilesWanted(file api.SourceFile) []string {
	s := readSource(file)
	if s.body == nil {
		return nil
	}
	var wanted []string
	_ = hclsyntax.VisitAll(s.body, func(node hclsyntax.Node) hcl.Diagnostics {
		call, ok := node.(*hclsyntax.FunctionCallExpr)
		if !ok || call.Name != "file" || len(call.Args) != 1 {
			return nil
		}
		value, diags := call.Args[0].Value(constantScope(nil).ctx)
		if diags.HasErrors() || value.Type() != cty.String || !value.IsKnown() || value.IsNull() {
			return nil
		}
		if name := value.AsString(); localPath(name) && !slices.Contains(wanted, name) {
			wanted = append(wanted, name)
		}
		return nil
	})
	slices.Sort(wanted)
	return wanted
}
