package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/internal/workload/proxy"
)

// service answers the paths of a shop, and says what it was asked.
func service(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/gone":
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
		return
	case "/early":
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	case "/missing":
		w.WriteHeader(http.StatusNotFound)
	}
	fmt.Fprintf(w, "%s %s %s %d", r.Method, r.URL, r.Host, len(text))
}

// between puts a proxy before a service. It returns the proxy's address, and a function
// that ends the recording.
func between(t *testing.T, handler http.Handler) (address string, end func() (workload.Workload, workload.Notes)) {
	t.Helper()
	behind := httptest.NewServer(handler)
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	must.NoError(t, err)
	tally, err := workload.NewTally(workload.TallyOptions{Source: "proxy", AnyHost: true})
	must.NoError(t, err)
	p := proxy.New(to, tally, time.Now)
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	return front.URL, func() (workload.Workload, workload.Notes) {
		p.End()
		w, notes, err := tally.Workload(100)
		must.NoError(t, err)
		return w, notes
	}
}

func ask(t *testing.T, method, address, text string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(text))
	must.NoError(t, err)
	req.Host = "shop.example"
	req.Header.Set("Authorization", "Bearer s3cr3t")
	req.Header.Set("Content-Type", "text/plain")
	resp, err := http.DefaultClient.Do(req)
	must.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	return resp.StatusCode, string(answer)
}

func TestProxy_RecordsWhatItForwards(t *testing.T) {
	address, end := between(t, http.HandlerFunc(service))
	status, answer := ask(t, http.MethodGet, address+"/a?b=c", "")
	must.Eq(t, 200, status)
	must.Eq(t, "GET /a?b=c shop.example 0", answer)
	status, answer = ask(t, http.MethodPost, address+"/early", "a body")
	must.Eq(t, 202, status)
	must.Eq(t, "POST /early shop.example 6", answer)
	status, _ = ask(t, http.MethodGet, address+"/missing", "")
	must.Eq(t, 404, status)

	w, notes := end()
	headers := map[string]string{"Accept-Encoding": "gzip", "Content-Type": "text/plain", "Host": "shop.example"}
	must.Eq(t, []workload.Request{
		{Kind: workload.HTTP, Method: "GET", Path: "/a?b=c", Headers: headers, Expect: 200, Weight: 1},
		{Kind: workload.HTTP, Method: "GET", Path: "/missing", Headers: headers, Expect: 404, Weight: 1},
		{Kind: workload.HTTP, Method: "POST", Path: "/early", Headers: headers, Body: []byte("a body"), Expect: 202, Weight: 1},
	}, w.Requests)
	must.Eq(t, 3, w.Recorded)
	must.SliceEmpty(t, notes.LeftOut)
	must.StrNotContains(t, string(w.Encode()), "s3cr3t")
}

func TestProxy_RecordsAnswers(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "s=1")
		switch r.URL.Path {
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", workload.AnswersMax+1)) // the test reads it
		case "/gone":
			service(w, r)
		default:
			must.EqOp(t, "gzip", r.Header.Get("Accept-Encoding")) // the proxy's own
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"token":"s3cr3t","cents":1}`)
		}
	}))
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	must.NoError(t, err)
	tally, err := workload.NewTally(workload.TallyOptions{Source: "proxy", AnyHost: true})
	must.NoError(t, err)
	p := proxy.New(to, tally, time.Now)
	answers := workload.NewAnswerTally()
	p.RecordAnswers(answers)
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	status, text := ask(t, http.MethodPost, front.URL+"/price?id=1", "a body")
	must.Eq(t, 202, status)
	must.Eq(t, `{"token":"s3cr3t","cents":1}`, text)
	ask(t, http.MethodGet, front.URL+"/large", "")
	ask(t, http.MethodGet, front.URL+"/gone", "")
	p.End()
	ask(t, http.MethodGet, front.URL+"/after", "")

	kept, notes, err := answers.Answers(10)
	must.NoError(t, err)
	must.Len(t, 1, kept)
	must.Positive(t, kept[0].Latency)
	kept[0].Latency = 0
	must.Eq(t, workload.Answer{
		Method: "POST", Path: "/price?id=1", Status: 202, Headers: map[string]string{"Content-Type": "application/json"}, Body: []byte(`{"cents":1,"token":"redacted"}`),
	}, kept[0])
	must.Eq(t, []workload.Count{{Name: "a larger body than a file of answers takes", Requests: 1}, {Name: "no answer of the service", Requests: 1}}, notes.LeftOut)
}

func TestProxy_ForwardsWhatItCantRecord(t *testing.T) {
	address, end := between(t, http.HandlerFunc(service))
	status, answer := ask(t, http.MethodPut, address+"/large", strings.Repeat("x", workload.BodyMax+1))
	must.Eq(t, 200, status)
	must.Eq(t, fmt.Sprintf("PUT /large shop.example %d", workload.BodyMax+1), answer)
	status, _ = ask(t, http.MethodGet, address+"/gone", "")
	must.Eq(t, http.StatusBadGateway, status)
	ask(t, http.MethodGet, address+"/a", "")

	w, notes := end()
	must.Len(t, 1, w.Requests)
	must.Eq(t, []workload.Count{{Name: "a larger body than a workload takes", Requests: 1}, {Name: "no answer of the service", Requests: 1}}, notes.LeftOut)
	must.Eq(t, 1.0/3, w.Kept())

	ask(t, http.MethodGet, address+"/after", "")
	w, _ = end()
	must.Eq(t, 3, w.Recorded)
}

func TestProxy_RecordsManyAtOnce(t *testing.T) {
	address, end := between(t, http.HandlerFunc(service))
	const callers, each = 8, 25
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			for range each {
				ask(t, http.MethodPost, fmt.Sprintf("%s/%d", address, i), "x")
			}
		})
	}
	group.Wait()
	w, _ := end()
	must.Len(t, callers, w.Requests)
	for _, r := range w.Requests {
		must.Eq(t, each, r.Weight)
	}
}
