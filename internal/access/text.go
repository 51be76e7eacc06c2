package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Redact returns a value of the API in whose sentences the names that the caller may not
// see are replaced. Sentences say why a rollout waits, for example, and so name its
// neighbours. What a person or a pipeline wrote (the changes of a patch, its file) and what a
// machine printed stays as it is: an approver must read exactly what will run.
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
	case "apply", "file", "description", "where", "config", "env", "console", "meta":
		return true
	}
	return false
}

func (v *View) tree(node any) any {
	switch node := node.(type) {
	case map[string]any:
		for field, value := range node {
			if !verbatim(field) {
				node[field] = v.tree(value)
			}
		}
	case []any:
		for i := range node {
			node[i] = v.tree(node[i])
		}
	case string:
		return v.Text(node)
	}
	return node
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
	if v.hidden[name] {
		return Hidden + end
	}
	namespace, rest, ok := strings.Cut(name, "/")
	at := strings.LastIndex(rest, "/")
	if ok && v.hidden[namespace] && at < 0 {
		return Hidden + end // job/group
	}
	if !ok || namespace == "" || at <= 0 || at == len(rest)-1 {
		return word
	}
	if !v.Sees(api.TargetRef{Namespace: namespace, Job: rest[:at], Group: rest[at+1:]}) {
		return Hidden + end
	}
	return word
}

func splitJobs(text string) []string { return strings.Split(text, ",") }
