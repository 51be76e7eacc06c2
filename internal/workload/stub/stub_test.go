package stub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/internal/workload/stub"
)

// written is a report as it is on the disk.
type written struct{ text []byte }

func (w *written) write(text []byte) error { w.text = text; return nil }

func (w *written) calls(t *testing.T) []twin.Unanswered {
	t.Helper()
	var out []twin.Unanswered
	must.NoError(t, json.Unmarshal(w.text, &out))
	return out
}

func ask(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestStub_AnswersAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file written
		report, err := stub.NewReport(file.write)
		must.NoError(t, err)
		must.SliceEmpty(t, file.calls(t))
		s := stub.New("pricing", workload.Answers{
			{Method: "GET", Path: "/price/1", Status: 418, Body: []byte("tea"), Headers: map[string]string{"Content-Type": "text/tea"}, Latency: 30 * time.Millisecond},
		}, report)
		for range 2 {
			began := time.Now()
			w := ask(s, "GET", "/price/1?x=y")
			must.Eq(t, 30*time.Millisecond, time.Since(began))
			must.EqOp(t, 418, w.Code)
			must.EqOp(t, "tea", w.Body.String())
			must.EqOp(t, "text/tea", w.Header().Get("Content-Type"))
		}
		must.SliceEmpty(t, file.calls(t))
		for range 12 {
			w := ask(s, "GET", "/price/9?token=s3cr3t")
			must.EqOp(t, http.StatusNotImplemented, w.Code)
			must.StrContains(t, w.Body.String(), "stub pricing has no answer to GET /price/9")
		}
		ask(s, "POST", "http://pricing:9091/price/1")
		must.Eq(t, []twin.Unanswered{{Stub: "pricing", Call: "GET /price/9", Count: 12}, {Stub: "pricing", Call: "POST /price/1", Count: 1}}, file.calls(t))
		must.NoError(t, report.Err())
	})
}

func TestReport_IsBounded(t *testing.T) {
	var file written
	report, err := stub.NewReport(file.write)
	must.NoError(t, err)
	a, b := stub.New("a", nil, report), stub.New("b", nil, report)
	for i := range 3 * twin.UnansweredMost {
		ask(a, "GET", fmt.Sprintf("/%d", i))
		ask(b, "GET", fmt.Sprintf("/%d", i))
	}
	calls := file.calls(t)
	must.Len(t, twin.UnansweredMost+2, calls)
	var sum int64
	for _, c := range calls {
		sum += c.Count
	}
	must.EqOp(t, 6*twin.UnansweredMost, int(sum))
}

func TestReport_KeepsTheFirstErrorOfTheDisk(t *testing.T) {
	full := errors.New("no space left")
	fails := error(nil)
	report, err := stub.NewReport(func([]byte) error { return fails })
	must.NoError(t, err)
	fails = full
	must.EqOp(t, http.StatusNotImplemented, ask(stub.New("a", nil, report), "GET", "/").Code)
	must.ErrorIs(t, report.Err(), full)
	_, err = stub.NewReport(func([]byte) error { return full })
	must.ErrorIs(t, err, full)
}

// TestListen_RefusesAddressesThatOthersReach asks for a stub that can listen first, which
// must not go on to listen.
func TestListen_RefusesAddressesThatOthersReach(t *testing.T) {
	report, err := stub.NewReport(stub.File(""))
	must.NoError(t, err)
	free, err := stub.Listen(t.Context(), []stub.Service{{Name: "a", Address: "127.77.0.1:0"}}, report)
	must.NoError(t, err)
	address := free[0].Addr().String()
	ended, end := context.WithCancel(t.Context())
	end()
	must.NoError(t, stub.Serve(ended, free, report))
	for _, bad := range []string{"10.0.0.1:80", "0.0.0.0:80", ":80", "localhost:80", "127.0.0.1", "[::]:80", "127.0.0.1:port"} {
		_, err := stub.Listen(t.Context(), []stub.Service{{Name: "a", Address: address}, {Name: "b", Address: bad}}, report)
		must.ErrorContains(t, err, "listen for b: ")
		_, err = net.Dial("tcp", address)
		must.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
}

func TestCalls_SayOfHowManyTwinsTheyAreNotKnown(t *testing.T) {
	var c stub.Calls
	must.EqOp(t, "", c.Note())
	c.Observe([]twin.Unanswered{{Stub: "a", Call: "GET /", Count: 2}}, false, nil)
	must.EqOp(t, "; calls of the control that no stub answers: GET / x2 (stub a)", c.Note())
	c.Observe(nil, true, errors.New("no such file"))
	must.StrHasSuffix(t, "; what the stubs of one twin were asked is not known (no such file)", c.Note())
	c.Observe(nil, true, errors.New("no route"))
	must.StrHasSuffix(t, "; what the stubs of 2 twins were asked is not known (no such file)", c.Note())
	must.Eq(t, api.Impact{Verdict: api.SimulationPass}, c.Weaken(api.Impact{Verdict: api.SimulationPass}))
}
