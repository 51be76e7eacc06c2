package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"
	"unicode/utf8"
)

// version is the format of the files that Encode writes.
const version = 1

// head is the first line of a recorded file.
type head struct {
	Workload   int     `json:"workload"` // version of the format
	Source     string  `json:"source,omitempty"`
	Requests   int64   `json:"requests,omitempty"`
	Seconds    float64 `json:"seconds,omitempty"`
	Unexpected int64   `json:"unexpected,omitempty"`
}

// line is one request in a file. A text stands in the field without "_base64" where it
// is UTF-8.
type line struct {
	Kind         Kind              `json:"kind,omitempty"` // HTTP when empty
	Method       string            `json:"method,omitempty"`
	Path         string            `json:"path,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"`
	Body         string            `json:"body,omitempty"`
	BodyBase64   []byte            `json:"body_base64,omitempty"`
	Status       Expect            `json:"status,omitzero"`
	Send         string            `json:"send,omitempty"`
	SendBase64   []byte            `json:"send_base64,omitempty"`
	Answer       string            `json:"answer,omitempty"`
	AnswerBase64 []byte            `json:"answer_base64,omitempty"`
	Weight       *int64            `json:"weight,omitempty"` // 1 when absent
	Hours        map[int]int64     `json:"hours,omitempty"`  // by hour of the week, 0 for Monday 0:00 UTC
}

// Parse reads a workload: a HAR file, or one of ours with a request a line. An error
// begins with name:line, or with name and the path in a HAR's JSON.
func Parse(name string, data []byte) (Workload, error) {
	if len(data) > FileMax {
		return Workload{}, invalid("%s: larger than %d MiB", name, FileMax>>20)
	}
	data = withoutBOM(data)
	if IsHAR(data) {
		return parseHAR(name, data)
	}
	if isAnswersHead(firstLine(data)) {
		return Workload{}, invalid("%s: it holds recorded answers, which a stub gives; a workload holds requests", name)
	}
	w, err := parseLines(name, data)
	if err != nil {
		return Workload{}, err
	}
	if w.Empty() {
		return Workload{}, invalid("%s: it has no requests", name)
	}
	return w, nil
}

// firstLine is the first line that is not empty.
func firstLine(data []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimSpace(data), []byte("\n"))
	return line
}

func parseLines(name string, data []byte) (Workload, error) {
	var w Workload
	n, first := 0, true
	for text := range bytes.Lines(data) {
		n++
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		begins := first
		first = false
		if begins && isHead(text) {
			if err := w.readHead(text); err != nil {
				return w, invalid("%s:%d: %v", name, n, err)
			}
			continue
		}
		r, err := readLine(text)
		if err != nil {
			return w, invalid("%s:%d: %v", name, n, err)
		}
		if len(w.Requests) > 0 && r.Kind != w.Requests[0].Kind {
			return w, invalid("%s:%d: kind: %q, and the first request has %q", name, n, r.Kind, w.Requests[0].Kind)
		}
		if len(w.Requests) == RequestsMax {
			return w, invalid("%s:%d: more than %d requests", name, n, RequestsMax)
		}
		w.Requests = append(w.Requests, r)
	}
	return w, nil
}

func isHead(text []byte) bool {
	var probe struct{ Workload json.RawMessage }
	return json.Unmarshal(text, &probe) == nil && probe.Workload != nil
}

func (w *Workload) readHead(text []byte) error {
	var h head
	if err := decodeStrictly(text, &h); err != nil {
		return err
	}
	switch {
	case h.Workload != version:
		return fmt.Errorf("workload: format %d, and this version reads %d", h.Workload, version)
	case h.Requests < 0 || h.Seconds < 0 || h.Unexpected < 0:
		return errors.New("requests, seconds, unexpected: less than 0")
	}
	w.Source, w.Recorded, w.Seconds, w.Unexpected = h.Source, h.Requests, h.Seconds, h.Unexpected
	return nil
}

func readLine(text []byte) (Request, error) {
	var l line
	if err := decodeStrictly(text, &l); err != nil {
		return Request{}, err
	}
	r := Request{Kind: l.Kind, Method: l.Method, Path: l.Path, Expect: l.Status, Weight: 1, Hours: l.Hours}
	if r.Kind == "" {
		r.Kind = HTTP
	}
	if r.Kind == HTTP && r.Method == "" {
		r.Method = "GET"
	}
	if l.Weight != nil {
		r.Weight = *l.Weight
	}
	for _, name := range sorted(l.Headers) {
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if _, twice := r.Headers[canonical]; twice {
			return Request{}, fmt.Errorf("headers: %s is there twice", canonical)
		}
		r.Headers[canonical] = l.Headers[name]
	}
	for _, f := range []struct {
		name string
		text string
		raw  []byte
		to   *[]byte
	}{{"body", l.Body, l.BodyBase64, &r.Body}, {"send", l.Send, l.SendBase64, &r.Send}, {"answer", l.Answer, l.AnswerBase64, &r.Answer}} {
		if f.text != "" && len(f.raw) > 0 {
			return Request{}, fmt.Errorf("%s, %s_base64: give one of them", f.name, f.name)
		}
		if *f.to = f.raw; f.text != "" {
			*f.to = []byte(f.text)
		}
	}
	return r, r.check()
}

// decodeStrictly reads one JSON value that has no fields but those of the type.
func decodeStrictly(text []byte, into any) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8; bytes that are no text stand in a field that ends in _base64")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errors.New(jsonCause(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// jsonCause says what is wrong with a JSON text, without the library's name.
func jsonCause(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return "the JSON ends too early"
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return fmt.Sprintf("a JSON %s where an object is wanted", wrong.Value)
		}
		return fmt.Sprintf("%s: a JSON %s where %s is wanted", wrong.Field, wrong.Value, jsonWord(wrong.Type.Kind().String()))
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// jsonWord is JSON's word for a kind of Go's, with its article.
func jsonWord(kind string) string {
	switch kind {
	case "map", "struct":
		return "an object"
	case "slice":
		return "a list"
	case "int", "int64", "float64":
		return "a number"
	}
	return "a " + kind
}

// Encode writes the workload as Parse reads it.
func (w Workload) Encode() []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	// A buffer takes all, and the types have no values that JSON can't have: Seconds is
	// a difference of two times.
	_ = e.Encode(head{version, w.Source, w.Recorded, w.Seconds, w.Unexpected})
	for _, r := range w.Requests {
		l := line{Method: r.Method, Path: r.Path, Headers: r.Headers, Status: r.Expect, Weight: &r.Weight, Hours: r.Hours}
		if r.Kind != HTTP {
			l.Kind = r.Kind
		}
		l.Body, l.BodyBase64 = textOrBytes(r.Body)
		l.Send, l.SendBase64 = textOrBytes(r.Send)
		l.Answer, l.AnswerBase64 = textOrBytes(r.Answer)
		_ = e.Encode(l)
	}
	return out.Bytes()
}

func textOrBytes(b []byte) (string, []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	return "", b
}

// withoutBOM takes away the mark that some programs begin a UTF-8 file with.
func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }
