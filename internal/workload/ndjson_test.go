package workload_test

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/internal/workload"
)

func TestParse_ReadsRequestsALine(t *testing.T) {
	w, err := workload.Parse("web.ndjson", []byte("\xef\xbb\xbf"+`{"path":"/a"}

{"method":"PUT","path":"/b?c=1","headers":{"content-type":"text/plain"},"body":"x","status":"2xx","weight":3}
{"path":"/raw","body_base64":"/w==","status":404}
`))
	must.NoError(t, err)
	must.Eq(t, workload.Workload{Requests: []workload.Request{
		{Kind: workload.HTTP, Method: "GET", Path: "/a", Weight: 1},
		{Kind: workload.HTTP, Method: "PUT", Path: "/b?c=1", Headers: map[string]string{"Content-Type": "text/plain"}, Body: []byte("x"), Expect: 2, Weight: 3},
		{Kind: workload.HTTP, Method: "GET", Path: "/raw", Body: []byte{0xff}, Expect: 404, Weight: 1},
	}}, w)

	w, err = workload.Parse("redis.ndjson", []byte(`{"kind":"tcp","send":"PING\r\n","answer":"+PONG"}`))
	must.NoError(t, err)
	must.Eq(t, []workload.Request{{Kind: workload.TCP, Send: []byte("PING\r\n"), Answer: []byte("+PONG"), Weight: 1}}, w.Requests)
}

func TestParse_SaysWhatIsWrongAndWhere(t *testing.T) {
	for text, want := range map[string]string{
		"":                                        "w: it has no requests",
		"\n\n":                                    "w: it has no requests",
		`{"workload":1}`:                          "w: it has no requests",
		"garbage":                                 "w:1: invalid character 'g' looking for beginning of value",
		`{"path":"/a"`:                            "w:1: the JSON ends too early",
		`{"path":"/a"} {"path":"/b"}`:             "w:1: more than one JSON value",
		"\"\xff\"":                                "w:1: not UTF-8",
		`["/a"]`:                                  "w:1: a JSON array where an object is wanted",
		`{"path":7}`:                              "w:1: path: a JSON number where a string is wanted",
		`{"path":"/a","wait":1}`:                  `w:1: unknown field "wait"`,
		`{"path":"a"}`:                            `w:1: path: "a" does not begin with "/"`,
		`{"path":"http://10.0.0.1/a"}`:            `w:1: path: "http://10.0.0.1/a" does not begin with "/"`,
		`{"path":"/a b"}`:                         "w:1: path: ",
		`{"path":"/%zz"}`:                         `w:1: path: "/%zz" is no path of a URL`,
		`{"path":"/a","method":"get"}`:            `w:1: method: "get" is no method such as GET`,
		`{"path":"/","method":"CONNECT"}`:         "w:1: method: CONNECT is not for a service",
		`{"path":"/a","status":99}`:               `w:1: status: 99 is neither from 100 to 599 nor such as "2xx"`,
		`{"path":"/a","status":"6xx"}`:            `w:1: status: "6xx" is neither`,
		`{"path":"/a","weight":0}`:                "w:1: weight: 0 is not from 1 to 1000000000000",
		`{"path":"/a","weight":1e30}`:             "w:1: weight: ",
		`{"path":"/a","kind":"udp"}`:              `w:1: kind: "udp" is neither "http" nor "tcp"`,
		`{"path":"/a","send":"x"}`:                `w:1: send, answer: a request of kind "http"`,
		`{"kind":"tcp","send":"x"}`:               "w:1: answer: a connection that opens proves nothing",
		`{"kind":"tcp","path":"/a","answer":"x"}`: `w:1: method, path, headers, body, status: a request of kind "tcp"`,
		`{"path":"/a","body":"x","body_base64":"eA=="}`:                                    "w:1: body, body_base64: give one of them",
		`{"path":"/a","body_base64":"!"}`:                                                  "w:1: illegal base64",
		`{"path":"/a","headers":{"connection":"close"}}`:                                   "w:1: headers: Connection belongs to the connection",
		`{"path":"/a","headers":{"a b":"c"}}`:                                              `w:1: headers: "a b" is no name of a header`,
		`{"path":"/a","headers":{"A":"x\r\nB: y"}}`:                                        "w:1: headers: A has a control character",
		`{"path":"/a","headers":{"A":"1","a":"2"}}`:                                        "w:1: headers: A is there twice",
		`{"workload":2}` + "\n" + `{"path":"/a"}`:                                          "w:1: workload: format 2, and this version reads 1",
		`{"workload":1,"seconds":-1}`:                                                      "w:1: requests, seconds, unexpected: less than 0",
		`{"path":"/a"}` + "\n" + `{"workload":1}`:                                          `w:2: unknown field "workload"`,
		`{"path":"/a"}` + "\n\n" + `{"kind":"tcp","answer":"x"}`:                           `w:3: kind: "tcp", and the first request has "http"`,
		strings.Repeat(`{"path":"/a"}`+"\n", workload.RequestsMax+1):                       "w:10001: more than 10000 requests",
		`{"path":"/` + strings.Repeat("a", workload.PathMax) + `"}`:                        "w:1: path: 8193 bytes are more than 8192",
		`{"path":"/a","headers":{"A":"` + strings.Repeat("a", workload.HeadersMax) + `"}}`: "w:1: headers: 16385 bytes are more than 16384",
		`{"path":"/a","body":"` + strings.Repeat("a", workload.BodyMax+1) + `"}`:           "w:1: body: 1048577 bytes are more than 1048576",
		strings.Repeat(" ", workload.FileMax+1):                                            "w: larger than 4 MiB",
	} {
		_, err := workload.Parse("w", []byte(text))
		must.ErrorContains(t, err, want, must.Sprintf("%.80s", text))
		must.StrHasPrefix(t, want[:2], err.Error())
	}
}

// TestParse_ReadsTheExamplesOfThePage reads every block of JSON there.
func TestParse_ReadsTheExamplesOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/workload.md")
	must.NoError(t, err)
	blocks := strings.Split(string(page), "```json\n")[1:]
	must.Len(t, 3, blocks)
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if strings.HasPrefix(text, `{"answers"`) {
			answers, err := workload.ParseAnswers("page", []byte(text))
			must.NoError(t, err)
			must.Len(t, 2, answers)
			continue
		}
		w, err := workload.Parse("page", []byte(text))
		must.NoError(t, err)
		must.Eq(t, strings.Count(text, `"kind":"tcp"`) > 0, w.Requests[0].Kind == workload.TCP)
	}
}

// drawWorkload makes any workload that a file can have.
func drawWorkload(t *rapid.T) workload.Workload {
	letters := rapid.StringMatching(`[a-zA-Z0-9/._~-]{0,12}`)
	body := rapid.SliceOfN(rapid.Byte(), 0, 20)
	tcp := rapid.Bool().Draw(t, "tcp")
	w := workload.Workload{
		Source: letters.Draw(t, "source"), Recorded: rapid.Int64Range(0, 1e9).Draw(t, "recorded"),
		Seconds: rapid.Float64Range(0, 1e9).Draw(t, "seconds"), Unexpected: rapid.Int64Range(0, 1e9).Draw(t, "unexpected"),
	}
	for range rapid.IntRange(1, 5).Draw(t, "requests") {
		r := workload.Request{Kind: workload.HTTP, Weight: rapid.Int64Range(1, workload.WeightMax).Draw(t, "weight")}
		if tcp {
			r.Kind, r.Send, r.Answer = workload.TCP, orNil(body.Draw(t, "send")), append(body.Draw(t, "answer"), 'x')
		} else {
			r.Method = rapid.SampledFrom([]string{"GET", "POST", "MKCOL"}).Draw(t, "method")
			r.Path = "/" + letters.Draw(t, "path") + "?" + letters.Draw(t, "query")
			r.Body = orNil(body.Draw(t, "body"))
			r.Expect = rapid.SampledFrom([]workload.Expect{0, 2, 5, 200, 404}).Draw(t, "status")
			if rapid.Bool().Draw(t, "headers") {
				r.Headers = map[string]string{"Accept": letters.Draw(t, "accept"), "Host": "shop.example"}
			}
		}
		w.Requests = append(w.Requests, r)
	}
	return w
}

func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func TestEncode_IsReadAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorkload(t)
		read, err := workload.Parse("w", w.Encode())
		must.NoError(t, err)
		must.Eq(t, w, read)
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"workload":1,"source":"access log","requests":9,"seconds":3}` + "\n" + `{"path":"/a?b=c","headers":{"Accept":"*/*"},"status":"2xx","weight":3}`))
	f.Add([]byte(`{"kind":"tcp","send_base64":"/w==","answer":"x"}`))
	f.Add([]byte(`{"log":{"entries":[{"request":{"method":"GET","url":"http://h/a"},"response":{"status":200}}]}}`))
	f.Add([]byte(`{"log":{"entries":[{"startedDateTime":"2026-11-29T18:00:00Z","request":{"method":"POST","url":"https://h//u@v:1/","headers":[{"name":":authority","value":"h"}],"postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"a","value":"b"}]}}}]}}`))
	f.Add([]byte(`{"path":"//10.0.0.1/@x:80"}`))
	f.Add([]byte("garbage"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := workload.Parse("w", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "w:") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		if w.Empty() || w.Weight() < 1 {
			t.Fatal("a workload without requests was taken")
		}
		for _, r := range w.Requests {
			staysWithTheTwin(t, r)
		}
		again, err := workload.Parse("w", w.Encode())
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if !bytes.Equal(w.Encode(), again.Encode()) {
			t.Fatal("what was written is read as something else")
		}
	})
}

// staysWithTheTwin fails when a request's path could lead to another address.
func staysWithTheTwin(t *testing.T, r workload.Request) {
	t.Helper()
	if r.Kind == workload.TCP {
		return
	}
	const address = "127.0.0.1:4321"
	u, err := url.Parse("http://" + address + r.Path)
	if err != nil || u.Host != address || u.User != nil || u.Fragment != "" {
		t.Fatalf("%q does not stay at the twin: %v", r.Path, fmt.Sprint(u, err))
	}
}
