package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// formType is the media type of a form's fields.
const formType = "application/x-www-form-urlencoded"

// redact takes credentials out of the query and out of a body of fields or JSON, and
// replaces the query's values where the options ask for it. It reports whether there
// was a credential.
func (t *Tally) redact(r *Request) bool {
	found := false
	if path, query, ok := strings.Cut(r.Path, "?"); ok {
		query, found = t.redactFields(query, t.options.Anonymise)
		r.Path = path + "?" + query
	}
	media, _, _ := strings.Cut(r.Headers["Content-Type"], ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); {
	case len(r.Body) == 0:
	case media == formType:
		fields, changed := t.redactFields(string(r.Body), false)
		if changed {
			r.Body, found = []byte(fields), true
		}
	case isJSON(media):
		if body, changed := redactJSON(r.Body); changed {
			r.Body, found = body, true
		}
	}
	return found
}

// redactFields reads fields such as a=1&b=2. What is not replaced stays as it is, byte
// for byte.
func (t *Tally) redactFields(text string, anonymise bool) (string, bool) {
	found := false
	fields := strings.Split(text, "&")
	for i, field := range fields {
		raw, value, ok := strings.Cut(field, "=")
		if !ok || value == "" {
			continue
		}
		name, err := url.QueryUnescape(raw)
		if err != nil {
			name = raw
		}
		switch {
		case secret(name):
			fields[i], found = raw+"="+redacted, true
		case anonymise:
			fields[i] = fmt.Sprintf("%s=%d", raw, t.number(name, value))
		}
	}
	return strings.Join(fields, "&"), found
}

// number counts the values of a parameter. All that don't fit in memory are the same.
func (t *Tally) number(name, value string) int {
	known := t.values[name]
	if known == nil {
		known = map[string]int{}
		t.values[name] = known
	}
	n, ok := known[value]
	if !ok {
		n = len(known) + 1
		if size := entrySize + len(name) + len(value); t.held+size <= heldMax {
			t.held += size
			known[value] = n
		}
	}
	return n
}

// isJSON reports whether a media type is one of JSON.
func isJSON(media string) bool {
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// redactJSON replaces the values of fields that are named like credentials. A body
// without any, or that is no JSON, stays as it is.
func redactJSON(body []byte) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil || d.More() || !redactValue(value) {
		return body, false
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return body, false
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), true
}

func redactValue(value any) bool {
	found := false
	switch value := value.(type) {
	case map[string]any:
		for _, name := range sorted(value) {
			if _, nested := value[name].(map[string]any); !nested && secret(name) {
				value[name], found = redacted, true
				continue
			}
			found = redactValue(value[name]) || found
		}
	case []any:
		for _, item := range value {
			found = redactValue(item) || found
		}
	}
	return found
}
