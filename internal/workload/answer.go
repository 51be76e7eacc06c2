package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Limits of a file of answers. It is in the job of each twin.
const (
	AnswersMax = 256 << 10 // bytes of a file
	LatencyMax = 30 * time.Second
)

// answersVersion is the format of the files that Answers.Encode writes.
const answersVersion = 1

// Answer is what a stub answers to requests of a method and a path.
type Answer struct {
	Method  string
	Path    string // with a query it fits that query alone; "*" stands for any characters
	Status  int    // 200 to 599
	Headers map[string]string
	Body    []byte
	Latency time.Duration // from the request to the answer
}

// Answers are those of one stub.
type Answers []Answer

// Find returns the answer to a request, whose target has its query: the one for this
// very target, else the first one that fits.
func (a Answers) Find(method, target string) (Answer, bool) {
	path, _, _ := strings.Cut(target, "?")
	fits := -1
	for i, one := range a {
		if one.Method != method {
			continue
		}
		if one.Path == target {
			return one, true
		}
		asked := path
		if strings.Contains(one.Path, "?") {
			asked = target
		}
		if fits < 0 && wildcard(one.Path, asked) {
			fits = i
		}
	}
	if fits < 0 {
		return Answer{}, false
	}
	return a[fits], true
}

// wildcard reports whether a text has the form of a pattern, in which "*" stands for any
// characters.
func wildcard(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[last])
}

// answersHead is the first line of a file of recorded answers.
type answersHead struct {
	Answers int    `json:"answers"` // version of the format
	Source  string `json:"source,omitempty"`
}

// answerLine is one answer in a file.
type answerLine struct {
	Method     string            `json:"method,omitempty"` // GET when empty
	Path       string            `json:"path"`
	Status     int               `json:"status,omitempty"` // 200 when 0
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body,omitempty"`
	BodyBase64 []byte            `json:"body_base64,omitempty"`
	LatencyMS  float64           `json:"latency_ms,omitempty"`
}

// ParseAnswers reads a file of answers, one a line. An error begins with name:line.
func ParseAnswers(name string, data []byte) (Answers, error) {
	if len(data) > AnswersMax {
		return nil, invalid("%s: larger than %d KiB", name, AnswersMax>>10)
	}
	if IsHAR(data) || isHead(firstLine(withoutBOM(data))) {
		return nil, invalid("%s: it is a workload, which holds requests; a stub gives recorded answers", name)
	}
	var out Answers
	at := map[string]int{} // the line of each method and path
	n := 0
	for text := range bytes.Lines(withoutBOM(data)) {
		n++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		if len(out) == 0 && isAnswersHead(text) {
			if err := readAnswersHead(text); err != nil {
				return nil, invalid("%s:%d: %v", name, n, err)
			}
			continue
		}
		one, err := readAnswer(text)
		if err != nil {
			return nil, invalid("%s:%d: %v", name, n, err)
		}
		key := one.Method + " " + one.Path
		if first, twice := at[key]; twice {
			return nil, invalid("%s:%d: %.120s is answered in line %d already", name, n, key, first)
		}
		at[key] = n
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil, invalid("%s: it has no answers", name)
	}
	return out, nil
}

func isAnswersHead(text []byte) bool {
	var probe struct{ Answers json.RawMessage }
	return json.Unmarshal(text, &probe) == nil && probe.Answers != nil
}

func readAnswersHead(text []byte) error {
	var h answersHead
	if err := decodeStrictly(text, &h); err != nil {
		return err
	}
	if h.Answers != answersVersion {
		return fmt.Errorf("answers: format %d, and this version reads %d", h.Answers, answersVersion)
	}
	return nil
}

func readAnswer(text []byte) (Answer, error) {
	var l answerLine
	if err := decodeStrictly(text, &l); err != nil {
		return Answer{}, err
	}
	if l.Body != "" && len(l.BodyBase64) > 0 {
		return Answer{}, errors.New("body, body_base64: give one of them")
	}
	a := Answer{Method: l.Method, Path: l.Path, Status: l.Status, Body: l.BodyBase64}
	if l.Body != "" {
		a.Body = []byte(l.Body)
	}
	if !(l.LatencyMS >= 0 && l.LatencyMS <= float64(LatencyMax.Milliseconds())) {
		return Answer{}, fmt.Errorf("latency_ms: %g is not from 0 to %d", l.LatencyMS, LatencyMax.Milliseconds())
	}
	a.Latency = time.Duration(l.LatencyMS * float64(time.Millisecond))
	return a.complete(l.Headers)
}

// complete adds the headers by their canonical names and what stands for nothing, and
// checks the answer. An error begins with the name of the field.
func (a Answer) complete(headers map[string]string) (Answer, error) {
	if a.Method == "" {
		a.Method = "GET"
	}
	if a.Status == 0 {
		a.Status = 200
	}
	for _, name := range sorted(headers) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if _, twice := a.Headers[canonical]; twice {
			return Answer{}, fmt.Errorf("headers: %s is there twice", canonical)
		}
		if a.Headers == nil {
			a.Headers = map[string]string{}
		}
		a.Headers[canonical] = headers[name]
	}
	return a, a.check()
}

func (a Answer) check() error {
	if err := checkMethod(a.Method); err != nil {
		return fmt.Errorf("method: %w", err)
	}
	if err := checkPath(a.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if err := checkHeaders(a.Headers); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	switch {
	case a.Status < 200 || a.Status > 599:
		return fmt.Errorf("status: %d is not from 200 to 599", a.Status)
	case bodiless(a.Status) && len(a.Body) > 0:
		return fmt.Errorf("body: an answer with status %d has none", a.Status)
	case a.Latency < 0 || a.Latency > LatencyMax:
		return fmt.Errorf("latency: %s is not from 0 to %s", a.Latency, LatencyMax)
	}
	return nil
}

// bodiless reports whether answers with a status have no body: 204 and 304.
func bodiless(status int) bool { return status == 204 || status == 304 }

// AnswerOf is an answer as a policy has it. An error begins with the name of the field.
func AnswerOf(one api.StubAnswer) (Answer, error) {
	a := Answer{Method: one.Method, Path: one.Path, Status: one.Status, Body: []byte(one.Body), Latency: time.Duration(one.Latency)}
	return a.complete(one.Headers)
}

// Encode writes the answers as ParseAnswers reads them.
func (a Answers) Encode(source string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	// A buffer takes all, and the types have no values that JSON can't have.
	_ = e.Encode(answersHead{answersVersion, source})
	for _, one := range a {
		l := answerLine{
			Method: one.Method, Path: one.Path, Status: one.Status, Headers: one.Headers,
			LatencyMS: float64(one.Latency) / float64(time.Millisecond),
		}
		l.Body, l.BodyBase64 = textOrBytes(one.Body)
		_ = e.Encode(l)
	}
	return out.Bytes()
}

// StubFile is the file of a stub's answers: those of the policy, and then the recorded
// ones that they don't replace. An error has code not_found when no policy in force has
// the recording any more.
func StubFile(stub api.Stub, policies []api.SourceFile) ([]byte, error) {
	var all Answers
	taken := map[string]bool{}
	for _, one := range stub.Answers {
		a, err := AnswerOf(one)
		if err != nil {
			return nil, invalid("stub %q: %v", stub.Name, err)
		}
		taken[a.Method+" "+a.Path] = true
		all = append(all, a)
	}
	if stub.Recorded == "" {
		return all.Encode(""), nil
	}
	name, data, ok := fileOf(stub.Recorded, policies)
	if !ok {
		return nil, api.Errorf(api.CodeNotFound, "no policy in force has the answers %.12s of stub %q any more", stub.Recorded, stub.Name)
	}
	recorded, err := ParseAnswers(name, data)
	if err != nil {
		return nil, err
	}
	for _, a := range recorded {
		if !taken[a.Method+" "+a.Path] {
			all = append(all, a)
		}
	}
	return all.Encode(""), nil
}
