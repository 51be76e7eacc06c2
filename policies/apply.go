package policies

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/oakumhq/oakum/api"
)

// applyArguments are the arguments of each kind of apply block.
func applyArguments(kind api.ApplyKind) []argument {
	task := argument{name: "task", want: cty.String, required: true, check: notEmpty}
	switch kind {
	case api.ApplyImage:
		return []argument{task, {name: "image", want: cty.String, required: true, check: absolutePath}}
	case api.ApplyScript:
		return []argument{task, {name: "script", want: cty.String, required: true, check: notEmpty}}
	case api.ApplyJob:
		return []argument{task,
			{name: "config", want: cty.DynamicPseudoType, check: objectOnly},
			{name: "env", want: cty.Map(cty.String)}}
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
func (s *source) readApply(b *hclsyntax.Block, sc *scope) api.Apply {
	if !s.labels(b, 1) {
		return api.Apply{}
	}
	kind := api.ApplyKind(b.Labels[0])
	args := applyArguments(kind)
	if args == nil {
		kinds := []string{string(api.ApplyImage), string(api.ApplyScript), string(api.ApplyJob)}
		s.problem(b.LabelRanges[0], "Unknown kind of change", "There is no apply %q.%s Want %s.",
			b.Labels[0], didYouMean(b.Labels[0], kinds), list(kinds, "or"))
		return api.Apply{}
	}
	s.noBlocks(b)
	f := s.readBlock(b, args, sc, sc)
	out := api.Apply{Kind: kind, Task: f.text("task", ""), Image: f.text("image", ""), Script: f.text("script", "")}
	if env, ok := f.fields["env"]; ok {
		out.Env = map[string]string{}
		for k, v := range env.value.AsValueMap() {
			out.Env[k] = v.AsString()
		}
	}
	if config, ok := f.fields["config"]; ok {
		converted, err := plainObject(config.value)
		if err != nil {
			s.problem(config.rng, "Wrong value", "config can't be written as JSON: %v.", err)
		}
		out.Config = converted
	}
	_, hasConfig := b.Body.Attributes["config"]
	_, hasEnv := b.Body.Attributes["env"]
	if kind == api.ApplyJob && !hasConfig && !hasEnv {
		s.problem(b.DefRange(), "Nothing to change", "apply \"job\" needs config, env or both.")
	}
	return out
}

// plainObject turns a value into what encoding/json would read from it.
func plainObject(v cty.Value) (map[string]any, error) {
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return nil, fmt.Errorf("write value: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("read value: %w", err)
	}
	return out, nil
}

// checkApplies refuses changes that contradict each other.
func (s *source) checkApplies(patch *hclsyntax.Block, applies []api.Apply) {
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
			s.problem(b.DefRange(), "Changed twice", "Task %q already has an apply %q block.", a.Task, a.Kind)
		case disk && (seen[a.Task][api.ApplyImage] || seen[a.Task][api.ApplyScript]):
			s.problem(b.DefRange(), "Changed twice", "Task %q gets its disk from an image or from a script, not from both.", a.Task)
		}
		seen[a.Task][a.Kind] = true
	}
}

// text returns a fixed field's text.
func (b *block) text(name, absent string) string {
	f, ok := b.fields[name]
	if !ok || !f.fixed {
		return absent
	}
	return f.value.AsString()
}

// texts returns a fixed field's list of texts.
func (b *block) texts(name string) []string {
	f, ok := b.fields[name]
	if !ok || !f.fixed {
		return nil
	}
	return textsOf(f.value)
}

// textsOf returns the elements of a list of texts.
func textsOf(v cty.Value) []string {
	out := make([]string, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		out = append(out, e.AsString())
	}
	return out
}
