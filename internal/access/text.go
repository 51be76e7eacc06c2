package access

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Redact returns a value of the API without the targets and services in its lists that the
// caller may not see, and in whose sentences their names are replaced. Sentences say why a
// rollout waits, for example, and so name its neighbours. What a person or a pipeline wrote
// (the changes of a patch, its file) and what a machine printed stays as it is: an approver
// must read exactly what will run.
func Redact[T any](v *View, value T) (T, error) {
	if v.all {
		return value, nil
	}
	var out T
	text, err := json.Marshal(value)
	if err != nil {
		return out, fmt.Errorf("redact: %w", err)
	}
	var tree any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // an index does not fit into a float
	if err := dec.Decode(&tree); err != nil {
		return out, fmt.Errorf("redact: %w", err)
	}
	if text, err = json.Marshal(v.tree(tree)); err != nil {
		return out, fmt.Errorf("redact: %w", err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return out, fmt.Errorf("redact: %w", err)
	}
	return out, nil
}

// verbatim are the fields whose text is not Oakum's.
func verbatim(field string) bool {
	switch field {
	case "apply", "file", "description", "where", "config", "env", "console", "meta", "command", "output":
		return true
	}
	return false
}

// ofServices are the fields that list names of services.
func ofServices(field string) bool {
	return field == "dependants" || field == "dominates" || field == "shared_nodes_with"
}

// tree redacts a decoded value. Hidden targets and services that a list has are taken out
// of it: a verdict lists who got worse and which rollouts are blamed, for example.
func (v *View) tree(node any) any {
	switch node := node.(type) {
	case map[string]any:
		if ref, ok := refOf(node); ok && !v.seesRefusal(ref) {
			node["namespace"], node["job"], node["group"] = Hidden, Hidden, Hidden
		}
		for field, value := range node {
			if list, ok := value.([]any); ok && ofServices(field) {
				node[field] = slices.DeleteFunc(list, func(item any) bool { name, ok := item.(string); return ok && !v.SeesService(name) })
			} else if !verbatim(field) {
				node[field] = v.tree(value)
			}
		}
	case []any:
		node = slices.DeleteFunc(node, v.isHidden)
		for i := range node {
			node[i] = v.tree(node[i])
		}
		return node
	case string:
		return v.Text(node)
	}
	return node
}

// isHidden reports whether an entry of a list is a target that the caller may not see, or
// is about one.
func (v *View) isHidden(item any) bool {
	entry, _ := item.(map[string]any)
	ref, ok := refOf(entry)
	if !ok {
		about, _ := entry["target"].(map[string]any)
		ref, ok = refOf(about)
	}
	return ok && !v.seesRefusal(ref)
}

// refOf returns the target that an object refers to, when it does. One that is not set
// has no job.
func refOf(node map[string]any) (api.TargetRef, bool) {
	namespace, ok := node["namespace"].(string)
	job, isJob := node["job"].(string)
	group, isGroup := node["group"].(string)
	return api.TargetRef{Namespace: namespace, Job: job, Group: group}, ok && isJob && isGroup && job != ""
}

// Error returns an error of the API without the names that the caller may not see.
func (v *View) Error(err *api.Error) *api.Error {
	if v.all || err == nil {
		return err
	}
	out := &api.Error{Code: err.Code, Message: v.sentence(err.Message)}
	for _, d := range err.Details {
		out.Details = append(out.Details, v.sentence(d))
	}
	return out
}

// Text replaces hidden names in a sentence. One word is no sentence: it may be a status,
// and is a name only where the answer's structure says so, which is filtered by it.
func (v *View) Text(text string) string {
	if v.all || !strings.Contains(text, " ") {
		return text
	}
	return v.sentence(text)
}

func (v *View) sentence(text string) string {
	if v.odd != nil {
		text = v.odd.Replace(text)
	}
	var out strings.Builder
	for text != "" {
		n := strings.IndexFunc(text, func(r rune) bool { return !ofName(r) })
		if n < 0 {
			n = len(text)
		}
		if n == 0 {
			n = strings.IndexFunc(text, ofName)
			if n < 0 {
				n = len(text)
			}
			out.WriteString(text[:n])
		} else {
			out.WriteString(v.word(text[:n]))
		}
		text = text[n:]
	}
	return out.String()
}

// ofName reports whether a character may be part of a name or of a target's reference.
func ofName(r rune) bool {
	return r == '-' || r == '_' || r == '.' || r == '/' || r == '~' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || r > 127
}

func (v *View) word(word string) string {
	name := strings.TrimRight(word, ".-") // the end of a sentence
	end := word[len(name):]
	namespace, rest, ok := strings.Cut(name, "/")
	at := strings.LastIndex(rest, "/")
	switch {
	case v.hidden[word]:
		return Hidden
	case v.hidden[name]:
		return Hidden + end
	case ok && namespace != "" && at > 0 && at < len(rest)-1:
		if v.Sees(api.TargetRef{Namespace: namespace, Job: rest[:at], Group: rest[at+1:]}) {
			return word
		}
		return Hidden + end
	case v.ofHidden(name, rest):
		return Hidden + end
	}
	return word
}

// ofHidden reports whether a word with a dot or a slash is about a hidden name: it begins
// with one, as job/group, the allocation job.group[0] and the host service.consul do, or
// is namespace/job.
func (v *View) ofHidden(name, rest string) bool {
	known := false
	for i, r := range name {
		if r != '.' && r != '/' {
			continue
		}
		hidden, is := v.hidden[name[:i]]
		if hidden {
			return true
		}
		known = known || is
	}
	return !known && v.hidden[rest]
}

// oddNames replaces the hidden names that sentences can't be cut into words by, such as
// those with a colon, and the hidden targets that have one. Longer ones go first.
func (v *View) oddNames(known Known) *strings.Replacer {
	isOdd := func(name string) bool { return strings.ContainsFunc(name, func(r rune) bool { return !ofName(r) }) }
	var odd []string
	for name, hidden := range v.hidden {
		if hidden && isOdd(name) {
			odd = append(odd, name)
		}
	}
	for _, ref := range known.Targets {
		if name := ref.String(); isOdd(name) && !v.Sees(ref) {
			odd = append(odd, name, ref.Namespace+"/"+ref.Job)
		}
	}
	if len(odd) == 0 {
		return nil
	}
	slices.SortFunc(odd, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, name := range slices.Compact(odd) {
		pairs = append(pairs, name, Hidden)
	}
	return strings.NewReplacer(pairs...)
}
