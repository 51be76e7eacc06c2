package prometheus_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestQuery_OfOtherStores has the answers of stores with Prometheus' API, as their
// documentation and their own tests write them, that hold less than all series. None of
// them is read.
func TestQuery_OfOtherStores(t *testing.T) {
	t.Parallel()
	const row = `{"metric":{"alloc_id":"a"},"value":[1,"7"]}`
	for name, c := range map[string]struct {
		status int
		body   string
		code   api.ErrorCode
		says   string
	}{
		"VictoriaMetrics, a storage node is away": {200, `{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[` + row + `]},"stats":{"seriesFetched": "1","executionTimeMsec":2}}`,
			api.CodeUnavailable, "the answer is partial: the store says that some of its parts did not answer"},
		"VictoriaMetrics, too many series": {422, `{"status":"error","errorType":"422","error":"error when executing query=\"up\" for (time=1593595540736, step=30000): cannot evaluate \"up\": the number of matching timeseries exceeds 300000; either narrow down the search or increase -search.max* command-line flag values at vmselect"}`,
			api.CodeUnavailable, "the number of matching timeseries exceeds 300000"},
		"Thanos, a store is away": {200, `{"status":"success","data":{"resultType":"vector","result":[` + row + `]},"warnings":["failed to receive any data in 5s from Addr: 10.0.0.9:19090 LabelSets: {replica=\"a\"} Mint: 1634162400003 Maxt: 9223372036854775807: context deadline exceeded"]}`,
			api.CodeUnavailable, "the answer is partial: failed to receive any data in 5s from Addr: 10.0.0.9:19090"},
		"Thanos, too many series": {422, `{"status":"error","errorType":"execution","error":"expanding series: proxy Series(): rpc error: code = ResourceExhausted desc = exceeded series limit: limit 12000 violated (got 12704)"}`,
			api.CodeInvalid, "exceeded series limit"},
		"Mimir, too many series": {422, `{"status":"error","errorType":"execution","error":"expanding series: the query exceeded the maximum number of series (limit: 3 series) (err-mimir-max-series-per-query). To adjust the related per-tenant limit, configure -querier.max-fetched-series-per-query, or contact your service administrator."}`,
			api.CodeInvalid, "err-mimir-max-series-per-query"},
		"Mimir, no tenant":        {401, "no org id\n", api.CodeUnavailable, "no org id"},
		"Mimir, too many queries": {429, `{"status":"error","errorType":"too_many_requests","error":"too many outstanding requests"}`, api.CodeUnavailable, "too many outstanding requests"},
		"Cortex, too many series": {422, `{"status":"error","errorType":"execution","error":"expanding series: the query hit the max number of series limit (limit: 100000 series)"}`, api.CodeInvalid, "max number of series limit"},
		"Cortex, a store gateway's limit": {500, `{"status":"error","errorType":"internal","error":"failed to receive series from 10.0.35.137:9095: rpc error: code = ResourceExhausted desc = exceeded series limit: rpc error: code = Code(422) desc = limit 12000 violated (got 12704)"}`,
			api.CodeUnavailable, "exceeded series limit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := server(t, func(string) (int, string) { return c.status, c.body })
			found, err := client.Query(t.Context(), "up", time.Time{})
			must.ErrorContains(t, err, c.says)
			must.True(t, api.IsCode(err, c.code), must.Sprint(err))
			must.SliceEmpty(t, found)
			_, _, err = client.Names(t.Context(), time.Time{}, 10)
			must.Error(t, err)
			_, err = client.LabelNames(t.Context(), "up", time.Time{})
			must.Error(t, err)
		})
	}
}

// TestQuery_OfAWholeAnswer of VictoriaMetrics is read.
func TestQuery_OfAWholeAnswer(t *testing.T) {
	t.Parallel()
	client := server(t, func(string) (int, string) {
		return 200, `{"status":"success","isPartial":false,"data":{"resultType":"vector","result":[{"metric":{"alloc_id":"a"},"value":[1,"7"]}]},"stats":{"seriesFetched": "1","executionTimeMsec":2}}`
	})
	found, cost, err := client.Measured(t.Context(), "up", time.Time{})
	must.NoError(t, err)
	must.Len(t, 1, found)
	must.Eq(t, 0, cost.Samples, must.Sprint("it does not say"))
}

// TestMeasured_SaysWhatItCost asks as Prometheus documents it.
func TestMeasured_SaysWhatItCost(t *testing.T) {
	t.Parallel()
	const body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"alloc_id":"a"},"value":[1,"7"]}],"stats":{"timings":{"evalTotalTime":0.1},"samples":{"totalQueryableSamples":42,"peakSamples":7}}}}`
	client := server(t, func(string) (int, string) { return 200, body })
	found, cost, err := client.Measured(t.Context(), "up", time.Time{})
	must.NoError(t, err)
	must.Len(t, 1, found)
	must.Eq(t, 42, cost.Samples)
	must.Eq(t, len(body), cost.Bytes)
}
