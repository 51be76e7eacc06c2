package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/oakumhq/oakum/api"
)

// Cost is what one question has cost.
type Cost struct {
	Samples int // that the store read for it; 0 where it does not say
	Bytes   int // of the answer
}

// costKey is the key under which a context has a *Cost to fill in.
type costKey struct{}

// Measured makes one instant query as Query does, and says what it has cost.
func (c *Client) Measured(ctx context.Context, promql string, at time.Time) ([]Sample, Cost, error) {
	var cost Cost
	found, err := c.Query(context.WithValue(ctx, costKey{}, &cost), promql, at)
	return found, cost, err
}

// options ask for what a question costs, where its context wants to know.
func options(ctx context.Context) []promv1.Option {
	if _, ok := ctx.Value(costKey{}).(*Cost); ok {
		return []promv1.Option{promv1.WithStats(promv1.AllStatsValue)}
	}
	return nil
}

// VictoriaMetrics says in a field of its own that some of its stores did not answer.
// Everybody else says so in a warning.
const (
	saysPartial  = `"isPartial":true`
	warnsPartial = `"warnings":["the store says that some of its parts did not answer"]`
)

// read reads an answer to its end, bounded: if a longer one were cut instead, its JSON would
// look like a fault of the server. What makes an answer partial becomes a warning.
func read(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxBody {
		return fmt.Errorf("answer is longer than %d bytes", maxBody)
	}
	if cost, ok := resp.Request.Context().Value(costKey{}).(*Cost); ok {
		cost.Bytes, cost.Samples = len(body), samplesRead(body)
	}
	body = bytes.Replace(body, []byte(saysPartial), []byte(warnsPartial), 1)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// samplesRead is how many samples a store says that it read, 0 where it does not.
func samplesRead(body []byte) int {
	var answer struct {
		Data struct {
			Stats struct {
				Samples struct {
					TotalQueryableSamples int `json:"totalQueryableSamples"`
				} `json:"samples"`
			} `json:"stats"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return 0 // the answer says what is wrong with it
	}
	return answer.Data.Stats.Samples.TotalQueryableSamples
}

// lacking is an error for an answer about which the store warns: it lacks something.
func lacking(question string, warnings []string) error {
	if len(warnings) == 0 {
		return nil
	}
	return api.Errorf(api.CodeUnavailable, "prometheus: query %q: the answer is partial: %s", short(question), remark(warnings))
}
