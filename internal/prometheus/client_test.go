package prometheus_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// server answers queries by a function of the query's text.
func server(t *testing.T, answer func(query string) (status int, body string)) *prometheus.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		status, body := answer(r.FormValue("query"))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	// A busy machine takes seconds for the longest answers.
	c, err := prometheus.New(prometheus.Config{Address: s.URL, Token: func() string { return "secret" }, Timeout: time.Minute})
	must.NoError(t, err)
	return c
}

func vector(series ...string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",") + `]}}`
}

func TestQuery_DropsWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	c := server(t, func(string) (int, string) {
		return 200, vector(`{"metric":{"a":"1"},"value":[1,"2.5"]}`, `{"metric":{"a":"2"},"value":[1,"NaN"]}`, `{"metric":{"a":"3"},"value":[1,"+Inf"]}`)
	})
	got, err := c.Query(t.Context(), "up", time.Time{})
	must.NoError(t, err)
	must.Eq(t, []prometheus.Sample{{Labels: map[string]string{"a": "1"}, Value: 2.5}}, got)
}

// TestQuery_OfNativeHistograms takes a histogram for what it is: it has no value.
func TestQuery_OfNativeHistograms(t *testing.T) {
	t.Parallel()
	c := server(t, func(string) (int, string) {
		return 200, vector(`{"metric":{"alloc_id":"a"},"histogram":[1,{"count":"13","sum":"4.5","buckets":[[3,"-0.001","0.001","1"],[0,"0.25","0.5","12"]]}]}`)
	})
	found, err := c.Query(t.Context(), "x", time.Time{})
	must.NoError(t, err)
	must.Len(t, 1, found)
	must.True(t, math.IsNaN(found[0].Value))
	must.Eq(t, []float64{0.001, 0.5}, found[0].Upper)
	must.Eq(t, []float64{1, 12}, found[0].Counts)
}

func TestQuery_GivesErrorsCodes(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(`{"metric":{},"value":[1,"1"]},`, 100_001)
	for _, c := range []struct {
		name, body string
		status     int
		code       api.ErrorCode
		text       string
	}{
		{"bad query", `{"status":"error","errorType":"bad_data","error":"parse error"}`, 400, api.CodeInvalid, "parse error"},
		{"overloaded", `nothing`, 503, api.CodeUnavailable, "503"},
		{"garbage", `{"status":`, 200, api.CodeUnavailable, "query"},
		{"a matrix", `{"status":"success","data":{"resultType":"matrix","result":[]}}`, 200, api.CodeInvalid, "want an instant vector, got a matrix"},
		{"too many series", vector(many[:len(many)-1]), 200, api.CodeInvalid, "100001 series, more than 100000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := server(t, func(string) (int, string) { return c.status, c.body }).Query(t.Context(), "up", time.Time{})
			must.ErrorContains(t, err, c.text)
			must.True(t, api.IsCode(err, c.code), must.Sprint(err))
		})
	}
}

func TestQuery_OfAnEndlessAnswer(t *testing.T) {
	t.Parallel()
	c := server(t, func(string) (int, string) { return 200, strings.Repeat(" ", 65<<20) })
	_, err := c.Query(t.Context(), "up", time.Time{})
	must.ErrorContains(t, err, "answer is longer than")
}

func TestNew_NeedsAnAddress(t *testing.T) {
	t.Parallel()
	_, err := prometheus.New(prometheus.Config{})
	must.True(t, api.IsCode(err, api.CodeInvalid))
}
