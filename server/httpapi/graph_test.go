package httpapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func TestGraphDiff_ComposesTheRecord(t *testing.T) {
	s := start(t, nil)
	at := func(minute int) time.Time { return time.Date(2026, 11, 1, 12, minute, 0, 0, time.UTC) }
	record := func(index uint64, minute int, d *api.GraphDelta) {
		e := api.Event{Index: index, Topic: api.TopicGraph, Type: "graph_changed", Key: "graph", At: at(minute)}
		if d != nil {
			text, err := json.Marshal(d)
			must.NoError(t, err)
			e.Payload = text
		}
		s.store.record = append(s.store.record, e)
		s.store.index = index
	}
	record(10, 0, &api.GraphDelta{Added: []string{"a", "b"}, Edges: []api.EdgeDelta{{From: "a", To: "b", After: api.EdgeDeclaredOnly}}})
	record(20, 10, &api.GraphDelta{Edges: []api.EdgeDelta{{From: "a", To: "b", Before: api.EdgeDeclaredOnly, After: api.EdgeConfirmed}}})
	record(30, 20, &api.GraphDelta{Edges: []api.EdgeDelta{{From: "a", To: "b", Before: api.EdgeConfirmed, After: api.EdgeDeclaredOnly}, {From: "c", To: "b", After: api.EdgeDenied}}})
	cl := s.client(t, "")
	diff := func(from, to string) api.GraphDiff {
		d, _, err := cl.GraphDiff(t.Context(), from, to, client.Query{})
		must.NoError(t, err)
		return d
	}
	must.Eq(t, []api.EdgeDelta{{From: "c", To: "b", After: api.EdgeDenied}}, diff("10", "").Delta.Edges, must.Sprint("there and back is no change"))
	must.Eq(t, []api.EdgeDelta{{From: "a", To: "b", Before: api.EdgeDeclaredOnly, After: api.EdgeConfirmed}},
		diff(at(5).Format(time.RFC3339), at(15).Format(time.RFC3339)).Delta.Edges)
	must.Eq(t, []string{"a", "b"}, diff("", "10").Delta.Added)
	must.False(t, diff("", "").Delta.Truncated)
	record(40, 30, nil)
	must.True(t, diff("30", "").Delta.Truncated, must.Sprint("what the record does not say is not made up"))
	for _, bad := range [][2]string{{"yesterday", ""}, {"", "soon"}, {"30", "20"}} {
		_, _, err := cl.GraphDiff(t.Context(), bad[0], bad[1], client.Query{})
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(bad, err))
	}
}
