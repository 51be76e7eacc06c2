package workload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// harEntry is what counts of an entry of a HAR 1.2 file.
type harEntry struct {
	Started string `json:"startedDateTime"`
	Request *struct {
		Method   string    `json:"method"`
		URL      string    `json:"url"`
		Headers  []harPair `json:"headers"`
		PostData *harBody  `json:"postData"`
	} `json:"request"`
	Response struct {
		Status int `json:"status"`
	} `json:"response"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// harBody is the body of a request, as a text or as the fields of a form.
type harBody struct {
	MimeType string    `json:"mimeType"`
	Text     string    `json:"text"`
	Params   []harPair `json:"params"`
	Encoding string    `json:"encoding"` // "base64" where Text is no text
}

// IsHAR reports whether what a file begins with is that of a HAR file: a JSON object
// whose first field is a log.
func IsHAR(begin []byte) bool {
	d := json.NewDecoder(bytes.NewReader(withoutBOM(begin)))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return false
	}
	key, err := d.Token()
	return err == nil && key == "log"
}

// parseHAR reads a HAR file as a workload, by the same rules as a recording.
func parseHAR(name string, data []byte) (Workload, error) {
	t, err := NewTally(TallyOptions{})
	if err != nil {
		return Workload{}, err
	}
	if err := t.AddHAR(name, data); err != nil {
		return Workload{}, err
	}
	if d := len(t.entries); d > RequestsMax {
		return Workload{}, invalid("%s: %d distinct requests are more than %d; take a sample of them: oakum workload record", name, d, RequestsMax)
	}
	w, _, err := t.Workload(RequestsMax)
	if err != nil {
		return Workload{}, invalid("%s: %v", name, err)
	}
	return w, nil
}

// AddHAR adds the requests of a HAR file. An error begins with name and the path in
// the JSON.
func (t *Tally) AddHAR(name string, data []byte) error {
	t.options.Source = "HAR"
	var file struct {
		Log struct {
			Entries []json.RawMessage `json:"entries"`
		} `json:"log"`
	}
	data = withoutBOM(data)
	if err := json.Unmarshal(data, &file); err != nil {
		if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
			return invalid("%s:%d: %v", name, 1+bytes.Count(data[:min(int(wrong.Offset), len(data))], []byte("\n")), wrong)
		}
		return invalid("%s: %s", name, jsonCause(err))
	}
	if len(file.Log.Entries) == 0 {
		return invalid("%s: log.entries: it has no requests", name)
	}
	for i, text := range file.Log.Entries {
		var e harEntry
		if err := json.Unmarshal(text, &e); err != nil {
			return invalid("%s: log.entries[%d].%s", name, i, jsonCause(err))
		}
		if e.Request == nil {
			return invalid("%s: log.entries[%d].request: it is missing", name, i)
		}
		o, whole, err := e.observation()
		switch {
		case err != nil:
			return invalid("%s: log.entries[%d].request.%v", name, i, err)
		case foreign(o.Target): // a page in a browser has many such
		case whole:
			t.Add(o)
		default:
			t.LeaveOut("a form without its text")
		}
	}
	return nil
}

// foreign reports whether a URL is of no server.
func foreign(target string) bool {
	u, err := url.Parse(target)
	return err == nil && slices.Contains([]string{"about", "blob", "chrome-extension", "data", "file", "moz-extension"}, u.Scheme)
}

// observation is the entry as one recorded request. It is not whole when its body is
// unknown. An error begins with a field of request.
func (e harEntry) observation() (o Observation, whole bool, err error) {
	r := e.Request
	if _, err := url.Parse(r.URL); err != nil || r.URL == "" {
		return o, false, fmt.Errorf("url: %.80q is no URL", r.URL)
	}
	o = Observation{Method: r.Method, Target: r.URL, Headers: map[string][]string{}, Status: e.Response.Status}
	o.At, _ = time.Parse(time.RFC3339, e.Started) // without a time the rate stays unknown
	for _, h := range r.Headers {
		if h.Name == ":authority" {
			h.Name = "Host"
		}
		o.Headers[h.Name] = append(o.Headers[h.Name], h.Value)
	}
	if r.PostData == nil {
		return o, true, nil
	}
	o.Body, whole, err = r.PostData.bytes()
	if err != nil {
		return o, false, fmt.Errorf("postData.%w", err)
	}
	return o, whole, nil
}

// bytes is the body. It is unknown when there are only the fields of a form of several
// parts, which don't say what was sent.
func (b harBody) bytes() (body []byte, known bool, err error) {
	switch {
	case b.Encoding == "base64":
		body, err := base64.StdEncoding.DecodeString(b.Text)
		if err != nil {
			return nil, false, errors.New("text: it is not base64, which encoding says that it is")
		}
		return body, true, nil
	case b.Encoding != "":
		return nil, false, fmt.Errorf("encoding: %.40q is not base64", b.Encoding)
	case b.Text != "" || len(b.Params) == 0:
		return []byte(b.Text), true, nil
	case !strings.HasPrefix(b.MimeType, formType):
		return nil, false, nil
	}
	fields := make([]string, len(b.Params))
	for i, p := range b.Params {
		fields[i] = url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value)
	}
	return []byte(strings.Join(fields, "&")), true, nil
}
