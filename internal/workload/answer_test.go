package workload_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
)

func TestAnswers_FindTheMostExactOne(t *testing.T) {
	t.Parallel()
	answers, err := workload.ParseAnswers("a", []byte(`{"answers":1,"source":"proxy"}
{"path":"/price","body":"any query"}
{"path":"/price?id=1","body":"one"}
{"path":"/price/*","body":"some"}
{"path":"/price/9","body":"nine"}
{"path":"/price/*/tax?token=*","body":"tax"}
{"method":"POST","path":"/*","status":201,"latency_ms":1.5,"headers":{"content-type":"text/plain"},"body_base64":"/w=="}
`))
	must.NoError(t, err)
	for asked, want := range map[string]string{
		"GET /price": "any query", "GET /price?id=1": "one", "GET /price?id=2": "any query",
		"GET /price/1": "some", "GET /price/1?x=y": "some", "GET /price/9": "nine", "GET /price/": "some",
		"GET /price/2/tax?token=abc": "some", "POST /a/b?c": "\xff",
		"GET /prices": "", "DELETE /price": "", "GET /": "", "HEAD /price": "",
	} {
		method, target, _ := strings.Cut(asked, " ")
		a, ok := answers.Find(method, target)
		must.Eq(t, want != "", ok, must.Sprint(asked))
		must.EqOp(t, want, string(a.Body), must.Sprint(asked))
	}
	post, _ := answers.Find("POST", "/")
	must.Eq(t, workload.Answer{
		Method: "POST", Path: "/*", Status: 201, Headers: map[string]string{"Content-Type": "text/plain"}, Body: []byte{0xff}, Latency: 1500 * time.Microsecond,
	}, post)
}

func TestParseAnswers_SaysWhatIsWrongWhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                      "a: it has no answers",
		`{"workload":1}` + "\n":                 "a: it is a workload",
		`{"answers":1}`:                         "a: it has no answers",
		`{"answers":2}`:                         "a:1: answers: format 2, and this version reads 1",
		"\n{}":                                  `a:2: path: "" does not begin with "/"`,
		"garbage":                               "a:1: invalid character 'g'",
		`{"path":"/a","status":101}`:            "a:1: status: 101 is not from 200 to 599",
		`{"path":"/a","status":204,"body":"x"}`: "a:1: body: an answer with status 204 has none",
		`{"path":"/a","latency_ms":30001}`:      "a:1: latency_ms: 30001 is not from 0 to 30000",
		`{"path":"/a","latency_ms":-1}`:         "a:1: latency_ms: -1 is not from 0 to 30000",
		`{"path":"/a","method":"get"}`:          `a:1: method: "get" is no method such as GET`,
		`{"path":"/a","headers":{"Content-Length":"3"}}`:    "a:1: headers: Content-Length belongs to the connection",
		`{"path":"/a","headers":{"ETag":"1","etag":"2"}}`:   "a:1: headers: Etag is there twice",
		`{"path":"/a","body":"x","body_base64":"eA=="}`:     "a:1: body, body_base64: give one of them",
		`{"path":"/a","weight":3}`:                          `a:1: unknown field "weight"`,
		"{\"path\":\"/a\"}\n{\"path\":\"/a\"}":              "a:2: GET /a is answered in line 1 already",
		strings.Repeat(" ", workload.AnswersMax) + "{}":     "a: larger than 256 KiB",
		`{"path":"/a"}` + "\n" + `{"answers":1,"path":"/"}`: `a:2: unknown field "answers"`,
	} {
		_, err := workload.ParseAnswers("a", []byte(text))
		must.ErrorContains(t, err, want)
	}
}

func FuzzParseAnswers(f *testing.F) {
	f.Add([]byte(`{"answers":1,"source":"proxy"}` + "\n" + `{"path":"/a?b=*","headers":{"Etag":"1"},"status":404,"body":"x","latency_ms":0.25}`))
	f.Add([]byte(`{"method":"POST","path":"/*/b/*","body_base64":"/w=="}`))
	f.Add([]byte("garbage"))
	f.Fuzz(func(t *testing.T, data []byte) {
		answers, err := workload.ParseAnswers("a", data)
		if err != nil {
			must.StrHasPrefix(t, "a:", err.Error())
			return
		}
		must.Positive(t, len(answers))
		for _, a := range answers {
			found, ok := answers.Find(a.Method, a.Path)
			must.True(t, ok)
			must.EqOp(t, a.Path, found.Path)
		}
		written := answers.Encode("fuzz")
		again, err := workload.ParseAnswers("a", written)
		if len(written) > workload.AnswersMax {
			return // what was not written out, as a method, is
		}
		must.NoError(t, err)
		must.True(t, bytes.Equal(written, again.Encode("fuzz")))
	})
}

func TestAnswerTally_KeepsTheUsualAnswer(t *testing.T) {
	t.Parallel()
	tally := workload.NewAnswerTally()
	add := func(times int, target string, status int, body string, took time.Duration) {
		for range times {
			tally.Add(workload.AnswerObservation{
				Method: "GET", Target: target, Status: status, Body: []byte(body), Took: took,
				Headers: map[string][]string{"content-type": {"application/json"}, "Set-Cookie": {"s=1"}, "Connection": {"close"}},
			})
		}
	}
	add(1, "/price/1", 500, "{}", time.Second)
	add(2, "/price/1", 200, `{"cents": 100, "api_key": "s3cr3t"}`, 10*time.Millisecond)
	add(1, "/price/1", 200, `{"cents": 101}`, 40*time.Millisecond)
	add(1, "http://pricing:80/price/2?access_token=abc&x=1", 304, "ignored", time.Hour)
	add(1, "/a b", 200, "", 0)
	tally.LeaveOut("no answer of the service")

	answers, notes, err := tally.Answers(10)
	must.NoError(t, err)
	must.Eq(t, workload.Answers{
		{
			Method: "GET", Path: "/price/1", Status: 200, Headers: map[string]string{"Content-Type": "application/json"},
			Body: []byte(`{"api_key":"redacted","cents":100}`), Latency: 20 * time.Millisecond,
		},
		{
			Method: "GET", Path: "/price/2?access_token=*&x=1", Status: 304, Headers: map[string]string{"Content-Type": "application/json"},
			Latency: workload.LatencyMax,
		},
	}, answers)
	must.Eq(t, workload.AnswerNotes{Seen: 7, Distinct: 2, LeftOut: []workload.Count{{Name: "no answer of the service", Requests: 1}, {Name: "no usable path", Requests: 1}}}, notes)
	read, err := workload.ParseAnswers("a", answers.Encode("proxy"))
	must.NoError(t, err)
	must.Eq(t, answers, read)
	_, ok := read.Find("GET", "/price/2?access_token=another&x=1")
	must.True(t, ok)

	fewer, _, err := tally.Answers(1)
	must.NoError(t, err)
	must.Len(t, 1, fewer)
	must.EqOp(t, "/price/1", fewer[0].Path)
}

func TestAnswerTally_FitsInAFile(t *testing.T) {
	t.Parallel()
	tally := workload.NewAnswerTally()
	for i := range 100 {
		tally.Add(workload.AnswerObservation{Method: "GET", Target: fmt.Sprintf("/%d", i), Status: 200, Body: bytes.Repeat([]byte("x"), 10<<10)})
	}
	answers, _, err := tally.Answers(1000)
	must.NoError(t, err)
	must.Len(t, 25, answers)
	_, _, err = workload.NewAnswerTally().Answers(10)
	must.ErrorContains(t, err, "there is no answer that a stub can give")
}

func TestStubFile_PutsThePolicysAnswersFirst(t *testing.T) {
	t.Parallel()
	recorded := `{"path":"/price/1","body":"recorded"}` + "\n" + `{"path":"/price/2","body":"recorded"}` + "\n"
	stub := api.Stub{
		Name: "pricing", Recorded: workload.Digest([]byte(recorded)),
		Answers: []api.StubAnswer{{Method: "GET", Path: "/price/1", Status: 200, Body: "fixed", Latency: api.Duration(time.Millisecond)}},
	}
	policies := []api.SourceFile{{Name: "a.hcl", Files: map[string]string{"pricing.ndjson": recorded}}}
	file, err := workload.StubFile(stub, policies)
	must.NoError(t, err)
	answers, err := workload.ParseAnswers("stub", file)
	must.NoError(t, err)
	must.Len(t, 2, answers)
	must.EqOp(t, "fixed", string(answers[0].Body))
	must.EqOp(t, "/price/2", answers[1].Path)

	_, err = workload.StubFile(stub, nil)
	must.ErrorContains(t, err, `of stub "pricing" any more`)
	must.True(t, api.IsCode(err, api.CodeNotFound))
}

func TestParse_SaysThatAFileHoldsAnswers(t *testing.T) {
	t.Parallel()
	_, err := workload.Parse("pricing.ndjson", workload.Answers{{Method: "GET", Path: "/", Status: 200}}.Encode("proxy"))
	must.ErrorContains(t, err, "pricing.ndjson: it holds recorded answers")
}
