package contract

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// prometheusChecks are the query API's forms of answers; what is measured is
// each world's own.
func prometheusChecks() []check {
	const area = "prometheus"
	return []check{
		{area, "instant queries", instant},
		{area, "range queries", ranges},
		{area, "errors", promErrors},
		{area, "as the adapter reads it", promAdapter},
	}
}

// ask sends a query and writes down what came: its type and values without times.
func (s *script) ask(path string, query url.Values) {
	s.t.Helper()
	what := query.Get("query")
	if len(query) > 1 {
		rest := maps.Clone(query)
		delete(rest, "query")
		what += " " + rest.Encode()
	}
	req, err := http.NewRequestWithContext(s.ctx(), http.MethodPost, s.w.prometheus+path, strings.NewReader(query.Encode()))
	must.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	must.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must.NoError(s.t, err)
	var answer struct {
		Status, ErrorType, Error string
		Data                     struct {
			ResultType string
			Result     any
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		s.say("%s: %d %q", what, resp.StatusCode, body)
		return
	}
	if answer.Status != "success" {
		s.say("%s: %d %s %s", what, resp.StatusCode, answer.ErrorType, answer.Error)
		return
	}
	result, err := json.Marshal(answer.Data.Result) // numbers of one form
	must.NoError(s.t, err)
	s.say("%s: %d %s %s", what, resp.StatusCode, answer.Data.ResultType, result)
}

func instant(s *script) {
	for _, q := range []string{
		"1+1", "vector(1)", "vector(1) > 2", `absent(nothing_of_this_name)`, `nothing_of_this_name`, `"words"`, "-vector(0)/0", "vector(1)/0",
		`label_replace(vector(1), "a", "b", "", "")`, `sum by (a) (label_replace(vector(2), "a", "b", "", "") or label_replace(vector(3), "a", "c", "", ""))`,
		`histogram_quantile(0.5, label_replace(vector(1), "le", "1", "", "") or label_replace(vector(2), "le", "+Inf", "", ""))`, `vector(1) unless vector(1)`,
		`rate(nothing_of_this_name[1m])`, `max_over_time(vector(3)[1m:30s])`, `count_values("v", vector(4))`, `topk(1, vector(1))`,
	} {
		s.ask("/api/v1/query", url.Values{"query": {q}, "time": {"1700000000"}})
	}
}

func ranges(s *script) {
	at := func(q, start, end, step string) {
		s.ask("/api/v1/query_range", url.Values{"query": {q}, "start": {start}, "end": {end}, "step": {step}})
	}
	at("vector(1)", "1700000000", "1700000060", "30")
	at("1+1", "1700000000", "1700000060", "30s")
	at("time()", "1700000000", "1700000001.5", "0.5")
	at("nothing_of_this_name", "1700000000", "1700000060", "30")
	at("vector(1)", "1700000060", "1700000000", "30")
	at("vector(1)", "1700000000", "1700000060", "0")
	at("vector(1)", "1700000000", "1700100000", "1")
	at("vector(1)", "x", "1700000060", "30")
	at("vector(1)[1m:]", "1700000000", "1700000060", "30")
}

func promErrors(s *script) {
	for _, q := range []string{"", "sum(", "rate(vector(1))", "a b", `{}`, "unknown_function(1)", "vector(1) + on (a) group_left vector(1) [1m]"} {
		s.ask("/api/v1/query", url.Values{"query": {q}})
	}
	s.ask("/api/v1/query", url.Values{"query": {"1"}, "time": {"x"}})
	s.ask("/api/v1/query", url.Values{"query": {"1"}, "timeout": {"x"}})
	s.ask("/api/v1/odd", url.Values{})
}

func promAdapter(s *script) {
	c, err := prometheus.New(prometheus.Config{Address: s.w.prometheus})
	must.NoError(s.t, err)
	for _, q := range []string{"1+1", `label_replace(vector(5), "a", "b", "", "")`, "vector(1)/0", "nothing_of_this_name", "sum(", `"words"`} {
		samples, err := c.Query(s.ctx(), q, time.Time{})
		var words []string
		for _, one := range samples {
			words = append(words, fmt.Sprintf("%v %g", one.Labels, one.Value))
		}
		slices.Sort(words)
		s.say("%s: %v, invalid %t", q, words, api.IsCode(err, api.CodeInvalid))
	}
	envoy, err := prometheus.Preset("coroot") // nobody reports it
	must.NoError(s.t, err)
	flows, partial, silent, err := c.Traffic(envoy).Flows(s.ctx())
	s.say("traffic that nobody reports: %d flows, silent %t, %q, %v", len(flows), silent, partial, err)
}
