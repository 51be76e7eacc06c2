package prometheus_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
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
	c, err := prometheus.New(prometheus.Config{Address: s.URL, Token: func() string { return "secret" }})
	must.NoError(t, err)
	return c
}

func vector(series ...string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",") + `]}}`
}

func TestQueryDropsWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	c := server(t, func(string) (int, string) {
		return 200, vector(`{"metric":{"a":"1"},"value":[1,"2.5"]}`, `{"metric":{"a":"2"},"value":[1,"NaN"]}`, `{"metric":{"a":"3"},"value":[1,"+Inf"]}`)
	})
	got, err := c.Query(t.Context(), "up", time.Time{})
	must.NoError(t, err)
	must.Eq(t, []prometheus.Sample{{Labels: map[string]string{"a": "1"}, Value: 2.5}}, got)
}

func TestQueryErrors(t *testing.T) {
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

func TestQueryOfAnEndlessAnswer(t *testing.T) {
	t.Parallel()
	c := server(t, func(string) (int, string) { return 200, strings.Repeat(" ", 65<<20) })
	_, err := c.Query(t.Context(), "up", time.Time{})
	must.ErrorContains(t, err, "answer is longer than")
}

func TestEdgesOfBothKindsOfProxy(t *testing.T) {
	t.Parallel()
	var queries []string
	c := server(t, func(query string) (int, string) {
		queries = append(queries, query)
		if strings.Contains(query, "envoy_cluster_upstream") {
			return 200, vector(`{"metric":{"consul_source_service":"b","consul_destination_service":"c"},"value":[1,"7"]}`)
		}
		return 200, vector(`{"metric":{"src":"a","dst":"b"},"value":[1,"1700"]}`, `{"metric":{"src":"a","dst":"c"},"value":[1,"0"]}`, `{"metric":{"src":"a"},"value":[1,"5"]}`)
	})
	got, partial, err := c.Edges(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.Eq(t, "", cmp.Diff([]graph.Flow{
		{From: "a", To: "b", Detail: "consul built-in proxy", BytesPerSecond: 1700},
		{From: "a", To: "c", Detail: "consul built-in proxy"},
		{From: "b", To: "c", Detail: "envoy", BytesPerSecond: 7},
	}, got))
	must.Eq(t, 2, len(queries), must.Sprint("one query for each family, however large the graph"))
	must.StrContains(t, queries[0], "[30s]")
}

func TestEdgesWithoutMetricsIsPartial(t *testing.T) {
	t.Parallel()
	got, partial, err := server(t, func(string) (int, string) { return 200, vector() }).Edges(t.Context())
	must.NoError(t, err)
	must.Eq(t, 0, len(got))
	must.StrContains(t, partial, "no metrics of mesh proxies")
}

func TestNewNeedsAnAddress(t *testing.T) {
	t.Parallel()
	_, err := prometheus.New(prometheus.Config{})
	must.True(t, api.IsCode(err, api.CodeInvalid))
}
