package workload

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ParseLogLine reads one line of an access log: common or combined as nginx, Apache and
// Traefik write it, Envoy's default text, or the JSON of Envoy, Caddy or Traefik.
func ParseLogLine(text string) (Observation, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") {
		return parseLogJSON(text)
	}
	return parseLogText(text)
}

// errNotALog is why a line is no request.
func errNotALog() error { return errors.New("no line of a known access log") }

// parseLogText reads a line in which the time stands in brackets, the request line in
// quotes, and the status behind it. Envoy's has the host that was asked for as the
// fourth quoted text behind the status, and begins with the time.
func parseLogText(text string) (Observation, error) {
	o := Observation{NoBody: true}
	open := strings.IndexByte(text, '[')
	closed := strings.IndexByte(text, ']')
	if open < 0 || closed < open {
		return o, errNotALog()
	}
	o.At = logTime(text[open+1 : closed])
	begin := strings.IndexByte(text[closed:], '"')
	if begin < 0 {
		return o, errNotALog()
	}
	request, rest, ok := unquote(text[closed+begin:])
	if !ok {
		return o, errNotALog()
	}
	status, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	var err error
	if o.Status, err = strconv.Atoi(status); err != nil {
		return o, errNotALog()
	}
	words := strings.Split(request, " ")
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/") {
		return o, errors.New("no request line of HTTP")
	}
	o.Method, o.Target = words[0], words[1]
	if open == 0 {
		if host := quotedAt(rest, envoyAuthority); host != "-" {
			o.Host = host
		}
	}
	return o, nil
}

// envoyAuthority is the place of the host among the quoted texts behind the status.
const envoyAuthority = 3

// quotedAt returns the quoted text at a place, and "" when there are not so many.
func quotedAt(text string, place int) string {
	for {
		i := strings.IndexByte(text, '"')
		if i < 0 {
			return ""
		}
		quoted, rest, ok := unquote(text[i:])
		switch {
		case !ok:
			return ""
		case place == 0:
			return quoted
		}
		text = rest
		place--
	}
}

// unquote reads a text in quotes with the escapes of Apache and nginx: \" \\ and \x22.
func unquote(text string) (quoted, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\' && i+3 < len(text) && text[i+1] == 'x':
			n, err := strconv.ParseUint(text[i+2:i+4], 16, 8)
			if err != nil {
				return "", "", false
			}
			b.WriteByte(byte(n))
			i += 3
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// logTime reads the time of a line. It is zero when the text is no time: the rate of
// the recording is then unknown, and nothing else.
func logTime(text string) time.Time {
	for _, layout := range []string{"02/Jan/2006:15:04:05 -0700", time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	return time.Time{}
}

// logJSON has the fields of the proxies that log in JSON. Envoy's are those of its
// examples and of Consul, which operators may rename.
type logJSON struct {
	// Envoy
	Method    string     `json:"method"`
	Path      string     `json:"path"`
	Authority string     `json:"authority"`
	Code      jsonNumber `json:"response_code"`
	Start     string     `json:"start_time"`
	// Caddy
	Request *struct {
		Method  string              `json:"method"`
		Host    string              `json:"host"`
		URI     string              `json:"uri"`
		Headers map[string][]string `json:"headers"`
	} `json:"request"`
	Status    jsonNumber `json:"status"`
	Timestamp any        `json:"ts"`
	// Traefik
	RequestMethod    string     `json:"RequestMethod"`
	RequestPath      string     `json:"RequestPath"`
	RequestHost      string     `json:"RequestHost"`
	DownstreamStatus jsonNumber `json:"DownstreamStatus"`
	StartUTC         string     `json:"StartUTC"`
}

// jsonNumber is a number, or a text of digits. It is 0 for anything else.
type jsonNumber int

// UnmarshalJSON never fails.
func (n *jsonNumber) UnmarshalJSON(text []byte) error {
	value, err := strconv.Atoi(strings.Trim(string(text), `"`))
	if err != nil {
		value = 0
	}
	*n = jsonNumber(value)
	return nil
}

func parseLogJSON(text string) (Observation, error) {
	var l logJSON
	if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &l) != nil {
		return Observation{}, errNotALog()
	}
	switch {
	case l.Request != nil && l.Request.URI != "":
		o := Observation{Method: l.Request.Method, Target: l.Request.URI, Host: l.Request.Host, Headers: l.Request.Headers, Status: int(l.Status), NoBody: true}
		switch at := l.Timestamp.(type) {
		case float64: // seconds or, as a format of its own, milliseconds since 1970
			const milliseconds, most = 1e11, 1e14
			switch {
			case at > 0 && at < milliseconds:
				o.At = time.UnixMicro(int64(at * 1e6))
			case at >= milliseconds && at < most:
				o.At = time.UnixMilli(int64(at))
			}
		case string:
			o.At = logTime(at)
		}
		return o, nil
	case l.RequestPath != "":
		return Observation{
			Method: l.RequestMethod, Target: l.RequestPath, Host: l.RequestHost, Status: int(l.DownstreamStatus), At: logTime(l.StartUTC), NoBody: true,
		}, nil
	case l.Path != "":
		return Observation{Method: l.Method, Target: l.Path, Host: l.Authority, Status: int(l.Code), At: logTime(l.Start), NoBody: true}, nil
	}
	return Observation{}, errNotALog()
}
