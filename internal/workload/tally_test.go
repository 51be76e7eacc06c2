package workload_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/internal/workload"
)

func tally(t testing.TB, o workload.TallyOptions) *workload.Tally {
	t.Helper()
	out, err := workload.NewTally(o)
	must.NoError(t, err)
	return out
}

func TestParseLogLine_ReadsTheCommonFormats(t *testing.T) {
	at := time.Date(2026, 11, 29, 17, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		line string
		want workload.Observation
	}{
		"common": {`192.0.2.1 - frank [29/Nov/2026:18:00:00 +0100] "GET /item/1?a=b HTTP/1.0" 200 2326`,
			workload.Observation{Method: "GET", Target: "/item/1?a=b", Status: 200}},
		"combined": {`2001:db8::1 - - [29/Nov/2026:18:00:00 +0100] "HEAD / HTTP/2.0" 304 0 "https://shop.example/?q=[1]" "curl/8 \"x\""`,
			workload.Observation{Method: "HEAD", Target: "/", Status: 304}},
		"nginx's escapes": {`192.0.2.1 - - [29/Nov/2026:18:00:00 +0100] "GET /\xC3\xA4?q=\x22 HTTP/1.1" 200 1 "-" "-"`,
			workload.Observation{Method: "GET", Target: "/ä?q=\"", Status: 200}},
		"Traefik's text": {`192.0.2.1 - - [29/Nov/2026:17:00:00 +0000] "GET /a HTTP/1.1" 404 19 "-" "-" 7 "web@file" "http://10.0.0.1:80" 3ms`,
			workload.Observation{Method: "GET", Target: "/a", Status: 404}},
		"Envoy's text": {`[2026-11-29T17:00:00.000Z] "POST /api?x=1 HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "shop.example" "10.0.2.1:80"`,
			workload.Observation{Method: "POST", Target: "/api?x=1", Status: 204, Host: "shop.example"}},
		"Envoy's text without a host": {`[2026-11-29T17:00:00.000Z] "GET / HTTP/1.1" 0 DC 0 0 1 - "-" "-" "-" "-" "-"`,
			workload.Observation{Method: "GET", Target: "/", Status: 0}},
		"Envoy's JSON": {`{"start_time":"2026-11-29T17:00:00.000Z","method":"GET","path":"/a","protocol":"HTTP/1.1","response_code":200,"authority":"shop.example","upstream_host":null}`,
			workload.Observation{Method: "GET", Target: "/a", Status: 200, Host: "shop.example"}},
		"Envoy's JSON with texts": {`{"start_time":"2026-11-29T17:00:00.000Z","method":"GET","path":"/a","response_code":"200","authority":"shop.example"}`,
			workload.Observation{Method: "GET", Target: "/a", Status: 200, Host: "shop.example"}},
		"Caddy's JSON": {`{"level":"info","ts":1795971600,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.1","method":"GET","host":"shop.example","uri":"/a?b=c","headers":{"Accept":["*/*"]}},"duration":0.001,"size":10,"status":200}`,
			workload.Observation{Method: "GET", Target: "/a?b=c", Status: 200, Host: "shop.example", Headers: map[string][]string{"Accept": {"*/*"}}}},
		"Caddy's JSON in milliseconds": {`{"ts":1795971600000,"request":{"method":"GET","uri":"/"},"status":200}`,
			workload.Observation{Method: "GET", Target: "/", Status: 200}},
		"Traefik's JSON": {`{"DownstreamStatus":200,"OriginStatus":200,"RequestHost":"shop.example","RequestMethod":"GET","RequestPath":"/a?b=c","StartUTC":"2026-11-29T17:00:00.5Z","time":"2026-11-29T18:00:00+01:00"}`,
			workload.Observation{Method: "GET", Target: "/a?b=c", Status: 200, Host: "shop.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := workload.ParseLogLine(c.line)
			must.NoError(t, err)
			must.True(t, at.Equal(got.At.Truncate(time.Second)), must.Sprint(got.At))
			got.At, c.want.NoBody = time.Time{}, true
			must.Eq(t, c.want, got)
		})
	}
}

func TestParseLogLine_RefusesWhatIsNone(t *testing.T) {
	for _, line := range []string{
		"", "hello", "{", "{}", `{"level":"info","msg":"started"}`, "\xff[]\"", `[] "`, `a [b] "GET / HTTP/1.1" x`, `a [b] "GET /" 400 0`,
		`192.0.2.1 - - [29/Nov/2026:18:00:00 +0100] "\x16\x03\x01" 400 157 "-" "-"`, `192.0.2.1 - - [29/Nov/2026:18:00:00 +0100] "-" 408 0`,
	} {
		_, err := workload.ParseLogLine(line)
		must.Error(t, err, must.Sprint(line))
	}
}

func TestTally_KeepsNoCredentials(t *testing.T) {
	o := workload.Observation{
		Method: "POST", Target: "https://user:s3cr3t@shop.example/login?access_token=s3cr3t&q=1&sig=s3cr3t&otp=s3cr3t&pass=s3cr3t", Status: 200,
		Headers: map[string][]string{
			"authorization": {"Bearer s3cr3t"}, "Cookie": {"a=s3cr3t"}, "X-Acme": {"s3cr3t"}, "x-api-key": {"s3cr3t"}, "content-type": {"application/json; charset=utf-8"},
			"Connection": {"keep-alive"}, "accept": {"text/html", "text/plain"}, "Proxy-Authorization": {"s3cr3t"},
		},
		Body: []byte(`{"user":"a","password":"s3cr3t","nested":[{"refresh_token":"s3cr3t","n":1.50}]}`),
	}
	tl := tally(t, workload.TallyOptions{Source: "proxy"})
	tl.Add(o)
	w, notes, err := tl.Workload(10)
	must.NoError(t, err)
	must.StrNotContains(t, string(w.Encode()), "s3cr3t")
	must.Eq(t, workload.Request{
		Kind: workload.HTTP, Method: "POST", Path: "/login?access_token=redacted&q=1&sig=redacted&otp=redacted&pass=redacted", Expect: 200, Weight: 1,
		Headers: map[string]string{"Accept": "text/html, text/plain", "Content-Type": "application/json; charset=utf-8", "Host": "shop.example"},
		Body:    []byte(`{"nested":[{"n":1.50,"refresh_token":"redacted"}],"password":"redacted","user":"a"}`),
	}, w.Requests[0])
	must.Eq(t, []workload.Count{{Name: "Authorization", Requests: 1}, {Name: "Cookie", Requests: 1}, {Name: "X-Acme", Requests: 1}, {Name: "X-Api-Key", Requests: 1}}, notes.Dropped)
	must.Eq(t, 1, notes.Credentials)

	tl = tally(t, workload.TallyOptions{Keep: []string{"x-acme"}})
	tl.Add(o)
	w, _, err = tl.Workload(10)
	must.NoError(t, err)
	must.Eq(t, "s3cr3t", w.Requests[0].Headers["X-Acme"])

	for _, name := range []string{"connection", "Transfer-Encoding", "a b", ""} {
		_, err := workload.NewTally(workload.TallyOptions{Keep: []string{name}})
		must.ErrorContains(t, err, "can't be kept")
	}
}

func TestTally_LeavesBodiesAsTheyAre(t *testing.T) {
	for media, body := range map[string]string{
		"application/json":                  `{ "b": 1,"a":2 }`,
		"application/vnd.api+json":          "{",
		"application/x-www-form-urlencoded": "b=%41&&a",
		"text/plain":                        "password=x",
	} {
		tl := tally(t, workload.TallyOptions{})
		tl.Add(workload.Observation{Method: "PUT", Target: "/a", Headers: map[string][]string{"Content-Type": {media}}, Body: []byte(body)})
		w, notes, err := tl.Workload(1)
		must.NoError(t, err)
		must.Eq(t, body, string(w.Requests[0].Body), must.Sprint(media))
		must.Zero(t, notes.Credentials)
	}
}

func TestTally_AnonymisesQueries(t *testing.T) {
	tl := tally(t, workload.TallyOptions{Anonymise: true})
	for _, target := range []string{"/a?mail=x@example.org&page=7", "/a?mail=y@example.org&page=7", "/a?mail=x@example.org&page=7", "/a?flag"} {
		tl.Add(workload.Observation{Method: "GET", Target: target, Status: 200})
	}
	w, _, err := tl.Workload(10)
	must.NoError(t, err)
	must.Len(t, 3, w.Requests)
	must.Eq(t, "/a?mail=1&page=1", w.Requests[0].Path)
	must.Eq(t, 2, w.Requests[0].Weight)
	must.StrNotContains(t, string(w.Encode()), "example.org")
}

func TestTally_ExpectsWhatIsUsual(t *testing.T) {
	for name, c := range map[string]struct {
		statuses   []int
		want       workload.Expect
		unexpected int64
	}{
		"mostly":               {[]int{200, 503, 200}, 200, 1},
		"a tie":                {[]int{404, 200}, 200, 1},
		"not modified":         {[]int{304, 206, 304}, 2, 0},
		"the client went away": {[]int{499, 0, 444}, 0, 0},
		"always failing":       {[]int{500}, 500, 0},
		"of no range":          {[]int{999}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tl := tally(t, workload.TallyOptions{})
			for _, s := range c.statuses {
				tl.Add(workload.Observation{Method: "GET", Target: "/", Status: s})
			}
			w, _, err := tl.Workload(1)
			must.NoError(t, err)
			must.Eq(t, c.want, w.Requests[0].Expect)
			must.Eq(t, c.unexpected, w.Unexpected)
		})
	}
}

func TestTally_CountsWhatItLeavesOut(t *testing.T) {
	tl := tally(t, workload.TallyOptions{Hosts: []string{"Shop.example:443", "api.example"}})
	began := time.Date(2026, 11, 29, 18, 0, 0, 0, time.UTC)
	for i, o := range []workload.Observation{
		{Method: "GET", Target: "/a", Host: "shop.example:8443", Status: 200},
		{Method: "GET", Target: "/a", Host: "api.example", Status: 200},
		{Method: "GET", Target: "/a", Host: "other.example", Status: 200},
		{Method: "GET", Target: "/socket", Host: "shop.example", Status: 101},
		{Method: "POST", Target: "/a", Host: "shop.example", NoBody: true, Status: 201},
		{Method: "DELETE", Target: "/a", Host: "shop.example", NoBody: true, Status: 204},
		{Method: "CONNECT", Target: "db:5432", Host: "shop.example", Status: 405},
		{Method: "GET", Target: "/%zz", Host: "shop.example", Status: 400},
		{Method: "PUT", Target: "/a", Host: "shop.example", Body: make([]byte, workload.BodyMax+1)},
	} {
		o.At = began.Add(time.Duration(i) * time.Second)
		tl.Add(o)
	}
	w, notes, err := tl.Workload(10)
	must.NoError(t, err)
	must.Eq(t, 8, w.Recorded)
	must.Eq(t, 8, tl.Seen())
	must.Eq(t, 8, w.Seconds)
	must.Eq(t, 1, w.Rate())
	must.Eq(t, 3.0/8, w.Kept())
	must.Eq(t, 1, notes.OtherHost)
	must.Eq(t, []workload.Count{
		{Name: "a body that the log does not have", Requests: 1}, {Name: "a change of protocol", Requests: 1},
		{Name: "a larger body than a workload takes", Requests: 1}, {Name: "no usable method", Requests: 1}, {Name: "no usable path", Requests: 1},
	}, notes.LeftOut)
}

func TestTally_RefusesSeveralHostsUnlessTheyAreChosen(t *testing.T) {
	add := func(tl *workload.Tally) *workload.Tally {
		for _, host := range []string{"a", "b", "b", ""} {
			tl.Add(workload.Observation{Method: "GET", Target: "/", Host: host, Status: 200})
		}
		return tl
	}
	_, _, err := add(tally(t, workload.TallyOptions{})).Workload(9)
	must.ErrorContains(t, err, "there are requests to 2 hosts (b 2, a 1); choose the target's own")
	w, _, err := add(tally(t, workload.TallyOptions{AnyHost: true})).Workload(9)
	must.NoError(t, err)
	must.Eq(t, 4, w.Weight())
	_, _, err = add(tally(t, workload.TallyOptions{Hosts: []string{"c"}})).Workload(9)
	must.ErrorContains(t, err, "there is no request that can be sent again (4 are to other hosts)")
}

// TestTally_SampleKeepsTheMix says that a sample of the requests has the recording's
// weight, the exact counts of what is heavy, and of all paths that begin alike about
// what the recording has of them.
func TestTally_SampleKeepsTheMix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOfN(rapid.SampledFrom([]int{1, 1, 1, 2, 3, 10, 200}), 1, 80).Draw(t, "counts")
		n := rapid.IntRange(1, 90).Draw(t, "sample")
		tl, err := workload.NewTally(workload.TallyOptions{})
		must.NoError(t, err)
		total := 0
		paths := make([]string, len(counts))
		for i, count := range counts {
			paths[i] = fmt.Sprintf("/%c/%02d", 'a'+i%4, i)
			for range count {
				tl.Add(workload.Observation{Method: "GET", Target: paths[i], Status: 200})
			}
			total += count
		}
		w, notes, err := tl.Workload(n)
		must.NoError(t, err)
		must.Eq(t, len(counts), notes.Distinct)
		must.Eq(t, min(n, len(counts)), len(w.Requests))
		must.Eq(t, int64(total), w.Weight())
		weight, family, recorded := map[string]int64{}, map[string]int64{}, map[string]int64{}
		for _, r := range w.Requests {
			must.MapNotContainsKey(t, weight, r.Path)
			weight[r.Path] = r.Weight
			family[r.Path[:2]] += r.Weight
		}
		stretch := int64(math.Ceil(float64(total) / float64(n)))
		for i, path := range paths {
			recorded[path[:2]] += int64(counts[i])
			if int64(counts[i]) >= stretch {
				must.Eq(t, int64(counts[i]), weight[path])
			}
		}
		for prefix, want := range recorded {
			must.LessEq(t, stretch+1, max(want-family[prefix], family[prefix]-want), must.Sprint(prefix))
		}
	})
}

func TestTally_SameRequestsGiveTheSameFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []workload.Observation
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			all = append(all, workload.Observation{
				Method: rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"),
				Target: fmt.Sprintf("/%d", rapid.IntRange(0, 9).Draw(t, "path")), Status: rapid.SampledFrom([]int{200, 404, 500}).Draw(t, "status"),
				Body: []byte(rapid.SampledFrom([]string{"", "x"}).Draw(t, "body")),
			})
		}
		file := func(list []workload.Observation) string {
			tl, err := workload.NewTally(workload.TallyOptions{})
			must.NoError(t, err)
			for _, o := range list {
				tl.Add(o)
			}
			w, _, err := tl.Workload(5)
			must.NoError(t, err)
			return string(w.Encode())
		}
		backwards := slices.Clone(all)
		slices.Reverse(backwards)
		must.Eq(t, file(all), file(backwards))
	})
}

func TestTally_FitsIntoAFile(t *testing.T) {
	tl := tally(t, workload.TallyOptions{})
	for i := range 20 {
		tl.Add(workload.Observation{Method: "PUT", Target: fmt.Sprintf("/%d", i), Body: []byte(strings.Repeat("\x00", 200<<10)), Status: 200})
	}
	w, notes, err := tl.Workload(20)
	must.NoError(t, err)
	must.Less(t, 20, len(w.Requests))
	must.Eq(t, 20, notes.Distinct)
	must.Eq(t, 20, w.Weight())
	_, err = workload.Parse("w", w.Encode())
	must.NoError(t, err)
}

func TestTally_HoldsOnlySoMuch(t *testing.T) {
	tl := tally(t, workload.TallyOptions{})
	body := make([]byte, workload.BodyMax)
	for i := range 130 {
		tl.Add(workload.Observation{Method: "PUT", Target: fmt.Sprintf("/%d", i), Body: body, Status: 200})
	}
	_, notes, err := tl.Workload(1)
	must.NoError(t, err)
	must.Len(t, 1, notes.LeftOut)
	must.Eq(t, "more distinct requests than a recording holds", notes.LeftOut[0].Name)
	must.Eq(t, 130, notes.LeftOut[0].Requests+int64(notes.Distinct))
}

func FuzzParseLogLine(f *testing.F) {
	f.Add(`192.0.2.1 - - [29/Nov/2026:18:00:00 +0100] "GET /\x22\"?a=b HTTP/1.1" 200 1 "-" "-"`)
	f.Add(`[2026-11-29T17:00:00.000Z] "POST http://h/api?x=1 HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "n" "c" "shop.example" "tcp"`)
	f.Add(`{"ts":1e300,"request":{"method":"GET","host":"h","uri":"//x@y/","headers":{"A":[]}},"status":"9e9"}`)
	f.Add(`{"RequestMethod":"GET","RequestPath":"/a?token=1","DownstreamStatus":200,"StartUTC":"x"}`)
	f.Fuzz(func(t *testing.T, line string) {
		o, err := workload.ParseLogLine(line)
		if err != nil {
			return
		}
		tl := tally(t, workload.TallyOptions{Anonymise: len(line)%2 == 0})
		tl.Add(o)
		tl.Add(o)
		w, _, err := tl.Workload(1)
		if err != nil {
			return
		}
		staysWithTheTwin(t, w.Requests[0])
		if _, err := workload.Parse("w", w.Encode()); err != nil {
			t.Fatalf("%q gives a file that is not read: %v", line, err)
		}
	})
}
