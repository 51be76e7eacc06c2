package policies

import (
	"errors"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// applyArguments are the arguments of each kind of apply block.
func applyArguments(kind api.ApplyKind) []lang.Argument {
	task := lang.Argument{Name: "task", Doc: "the task of the group that changes", Want: cty.String, Required: true, Check: lang.NotEmpty}
	switch kind {
	case api.ApplyImage:
		return []lang.Argument{task,
			{Name: "image", Doc: "its path on the Nomad clients", Want: cty.String, Check: absolutePath},
			{Name: "source", Doc: "the URL from which Nomad fetches it, instead of image", Since: 7, Want: cty.String, Check: lang.Fetchable},
			{Name: "checksum", Doc: "of an image with a source", Since: 7, Want: cty.String, Check: lang.Checksum}}
	case api.ApplyScript:
		return []lang.Argument{task,
			{Name: "script", Doc: "what /bin/sh of the image runs as root", Want: cty.String, Required: true, Check: lang.NotEmpty},
			{Name: "reboot", Doc: "whether the patched machine must run the newest kernel of its image", Since: 5, Want: cty.Bool}}
	case api.ApplyJob:
		return []lang.Argument{task,
			{Name: "config", Doc: "keys of the driver's configuration; what is not named stays", Want: cty.DynamicPseudoType, Check: objectOnly},
			{Name: "env", Doc: "environment variables; what is not named stays", Want: cty.Map(cty.String)}}
	}
	return nil
}

func absolutePath(v cty.Value) error {
	if !path.IsAbs(v.AsString()) {
		return errors.New("want the image's absolute path on the Nomad clients, such as \"/images/web-3.0.16.qcow2\"")
	}
	return nil
}

func objectOnly(v cty.Value) error {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return errors.New("want an object of driver configuration keys, such as { image = \"web:3.0.16\" }")
	}
	return nil
}

// readApply reads one change to one task.
func (s *patchParser) readApply(b *hclsyntax.Block) api.Apply {
	if !s.Labels(b, 1) {
		return api.Apply{}
	}
	kind := api.ApplyKind(b.Labels[0])
	args := applyArguments(kind)
	if args == nil {
		var kinds []string
		for _, k := range applyKinds() {
			kinds = append(kinds, string(k))
		}
		s.Problem(b.LabelRanges[0], "Unknown kind of change", "There is no apply %q.%s Want %s.",
			b.Labels[0], lang.DidYouMean(b.Labels[0], kinds), lang.List(kinds, "or"))
		return api.Apply{}
	}
	block := s.ReadBlock(b, args, s.constants)
	f := block.Values(nil)
	out := api.Apply{
		Kind: kind, Task: f.Text("task", ""), Image: f.Text("image", ""),
		Script: s.Exact(b, "script", f.Text("script", ""), s.files), Reboot: f.Flag("reboot"),
	}
	if kind == api.ApplyImage {
		s.readSource(b, f, &out)
	}
	s.readScriptBlocks(b, &out)
	if env, ok := f.Get("env"); ok {
		out.Env = map[string]string{}
		for k, v := range env.AsValueMap() {
			out.Env[k] = v.AsString()
		}
	}
	if config, ok := f.Get("config"); ok {
		converted, err := lang.PlainObject(config)
		if err != nil {
			s.Problem(block.Fields["config"].Range, "Wrong value", "config can't be written as JSON: %v.", err)
		}
		out.Config = converted
	}
	_, hasConfig := b.Body.Attributes["config"]
	_, hasEnv := b.Body.Attributes["env"]
	if kind == api.ApplyJob && !hasConfig && !hasEnv {
		s.Problem(b.DefRange(), "Nothing to change", "apply \"job\" needs config, env or both.")
	}
	return out
}

// readSource reads where an image comes from: the clients have it, or Nomad fetches it into
// the folder of the task.
func (s *patchParser) readSource(b *hclsyntax.Block, f *lang.Values, out *api.Apply) {
	written := func(name string) bool { return b.Body.Attributes[name] != nil }
	switch image, source, checksum := written("image"), written("source"), written("checksum"); {
	case image == source:
		s.Problem(b.DefRange(), "Where is the image?", "apply \"image\" needs image, a path on the Nomad clients, or source and checksum, for Nomad to fetch it; and not both.")
		return
	case source != checksum:
		s.Problem(b.DefRange(), "Missing argument", "An image with a source needs a checksum, and no other takes one.")
		return
	case image:
		return
	}
	out.Source = f.Text("source", "")
	out.Digest = strings.TrimPrefix(f.Text("checksum", ""), "sha256:")
	if name, err := lang.FetchedFile(out.Source); err == nil { // else it was reported
		out.Image = "local/" + name
	}
}

// checkApplies refuses changes that contradict each other.
func (s *patchParser) checkApplies(patch *hclsyntax.Block, applies []api.Apply) {
	seen := map[string]map[api.ApplyKind]bool{}
	at := 0
	for _, b := range patch.Body.Blocks {
		if b.Type != "apply" {
			continue
		}
		a := applies[at]
		at++
		if a.Task == "" {
			continue
		}
		if seen[a.Task] == nil {
			seen[a.Task] = map[api.ApplyKind]bool{}
		}
		disk := a.Kind == api.ApplyImage || a.Kind == api.ApplyScript
		switch {
		case seen[a.Task][a.Kind]:
			s.Problem(b.DefRange(), "Changed twice", "Task %q already has an apply %q block.", a.Task, a.Kind)
		case disk && (seen[a.Task][api.ApplyImage] || seen[a.Task][api.ApplyScript]):
			s.Problem(b.DefRange(), "Changed twice", "Task %q gets its disk from an image or from a script, not from both.", a.Task)
		}
		seen[a.Task][a.Kind] = true
	}
}
