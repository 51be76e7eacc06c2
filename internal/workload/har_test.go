package workload_test

import (
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/workload"
)

func TestParse_ReadsAHAR(t *testing.T) {
	data, err := os.ReadFile("testdata/shop.har")
	must.NoError(t, err)
	w, err := workload.Parse("shop.har", data)
	must.NoError(t, err)
	must.Eq(t, workload.Workload{
		Source: "HAR", Recorded: 4, Seconds: 10, Unexpected: 1,
		Requests: []workload.Request{
			{Kind: workload.HTTP, Method: "GET", Path: "/item/1?colour=red", Expect: 200, Weight: 3, Headers: map[string]string{
				"Accept": "text/html", "Host": "shop.example",
			}},
			{Kind: workload.HTTP, Method: "POST", Path: "/cart", Expect: 302, Weight: 1, Body: []byte("item=1&csrf_token=redacted"), Headers: map[string]string{
				"Content-Type": "application/x-www-form-urlencoded", "Host": "shop.example",
			}},
		},
	}, w)
	must.StrNotContains(t, string(w.Encode()), "s3cr3t")
}

func TestParse_SaysWhereAHARIsWrong(t *testing.T) {
	const ok = `{"request":{"method":"GET","url":"http://h/a"},"response":{"status":200}}`
	for text, want := range map[string]string{
		`{"log":`:                             "w:1: unexpected end of JSON input",
		"{\"log\":\n{]}":                      "w:2: invalid character ']'",
		`{"log":{}}`:                          "w: log.entries: it has no requests",
		`{"log":[]}`:                          "w: log: a JSON array where an object is wanted",
		`{"log":{"entries":{}}}`:              "w: log.entries: a JSON object where a list is wanted",
		`{"log":{"entries":[` + ok + `,{}]}}`: "w: log.entries[1].request: it is missing",
		`{"log":{"entries":[` + ok + `,{"request":{"method":"GET","url":7}}]}}`:                                                                       "w: log.entries[1].request.url: a JSON number where a string is wanted",
		`{"log":{"entries":[{"request":{"method":"GET","url":""}}]}}`:                                                                                 `w: log.entries[0].request.url: "" is no URL`,
		`{"log":{"entries":[{"request":{"method":"GET","url":"http://%zz/"}}]}}`:                                                                      "w: log.entries[0].request.url: ",
		`{"log":{"entries":[{"request":{"method":"POST","url":"http://h/","postData":{"encoding":"base64","text":"!"}}}]}}`:                           "w: log.entries[0].request.postData.text: it is not base64",
		`{"log":{"entries":[{"request":{"method":"POST","url":"http://h/","postData":{"encoding":"x"}}}]}}`:                                           `w: log.entries[0].request.postData.encoding: "x" is not base64`,
		`{"log":{"entries":[{"request":{"method":"GET","url":"ws://h/"}}]}}`:                                                                          "w: there is no request that can be sent again (no usable path 1)",
		`{"log":{"entries":[{"request":{"method":"POST","url":"http://h/","postData":{"mimeType":"multipart/form-data","params":[{"name":"a"}]}}}]}}`: "w: there is no request that can be sent again (a form without its text 1)",
		`{"log":{"entries":[` + ok + `,{"request":{"method":"GET","url":"http://i/a"}}]}}`:                                                            "w: there are requests to 2 hosts (h 1, i 1); choose the target's own: oakum workload record -host=NAME",
	} {
		_, err := workload.Parse("w", []byte(text))
		must.ErrorContains(t, err, want, must.Sprint(text))
	}
}
