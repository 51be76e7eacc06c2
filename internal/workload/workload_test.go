package workload_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
)

// shares makes a workload of requests to paths of one letter each.
func shares(weights ...int64) workload.Workload {
	var w workload.Workload
	for i, weight := range weights {
		w.Requests = append(w.Requests, workload.Request{Kind: workload.HTTP, Method: "GET", Path: "/" + string(rune('a'+i%26)), Weight: weight})
	}
	return w
}

func source(id uint64) *rand.Rand { return rand.New(rand.NewPCG(id, 0)) }

func TestExpect_Accepts(t *testing.T) {
	for _, c := range []struct {
		expect workload.Expect
		status int
		want   bool
	}{
		{0, 200, true}, {0, 302, true}, {0, 404, false}, {0, 0, false}, {2, 204, true}, {2, 304, false}, {404, 404, true}, {404, 200, false}, {5, 503, true},
	} {
		must.Eq(t, c.want, c.expect.Accepts(c.status), must.Sprintf("%s accepts %d", c.expect, c.status))
	}
}

func TestMutating_IsWhatIsNotKnownToBeSafe(t *testing.T) {
	for method, want := range map[string]bool{"GET": false, "HEAD": false, "OPTIONS": false, "POST": true, "DELETE": true, "PURGE": true} {
		must.Eq(t, want, workload.Request{Kind: workload.HTTP, Method: method}.Mutating(), must.Sprint(method))
	}
	must.True(t, workload.Request{Kind: workload.TCP, Send: []byte("SET a 1\r\n")}.Mutating())
	must.False(t, workload.Request{Kind: workload.TCP, Answer: []byte("220 ")}.Mutating())
}

func TestReplay_HasThePathsOrElseTheCheck(t *testing.T) {
	paths := func(w workload.Workload) (out []string) {
		for _, r := range w.Requests {
			out = append(out, r.String())
		}
		return out
	}
	must.Eq(t, []string{"GET /a", "GET /b?c=1"}, paths(workload.Replay("/a, /b?c=1,other,", "/health")))
	must.Eq(t, []string{"GET /health"}, paths(workload.Replay(" ,no", "/health")))
	must.True(t, workload.Replay("", "").Empty())
}

func TestSequence_HasTheMixOfTheRecording(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := shares(rapid.SliceOfN(rapid.Int64Range(1, 1000), 1, 60).Draw(t, "weights")...)
		n := rapid.IntRange(1, 1200).Draw(t, "requests")
		s := w.Sequence(source(rapid.Uint64().Draw(t, "simulation")))
		sent := make([]int, len(w.Requests))
		for range n {
			sent[s.Next()]++
		}
		for i := range sent {
			p := w.Share(i)
			spread := math.Sqrt(float64(n) * p * (1 - p))
			if off := math.Abs(float64(sent[i]) - float64(n)*p); off > 6*spread+1+float64(n)/100 {
				t.Fatalf("%s was sent %d times of %d; its share is %.3f", w.Requests[i], sent[i], n, p)
			}
		}
	})
}

// drawPaths makes a workload with a few heavy paths and many light ones in folders.
func drawPaths(t *rapid.T) workload.Workload {
	var w workload.Workload
	for range rapid.IntRange(1, 200).Draw(t, "requests") {
		path := rapid.SampledFrom([]string{"/", "/a", "/a/b", "/items", "/items/x"}).Draw(t, "folder") + rapid.StringMatching(`/[0-9]{1,3}(\?q=[ab])?|`).Draw(t, "name")
		w.Requests = append(w.Requests, workload.Request{
			Kind: workload.HTTP, Method: rapid.SampledFrom([]string{"GET", "PUT"}).Draw(t, "method"), Path: path,
			Weight: rapid.SampledFrom([]int64{1, 1, 1, 3, 50, 1000}).Draw(t, "weight"),
		})
	}
	return w
}

// TestSequence_CoversWhatCarriesTheTraffic says that a run of twenty requests can't miss
// what every run must have, however many paths there are, and one of a hundred covers
// nearly all.
func TestSequence_CoversWhatCarriesTheTraffic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawPaths(t)
		s := w.Sequence(source(rapid.Uint64().Draw(t, "simulation")))
		sent := make([]int, len(w.Requests))
		for range 20 {
			sent[s.Next()]++
		}
		_, missing := w.Coverage(sent)
		must.SliceEmpty(t, missing)
		for range 80 {
			sent[s.Next()]++
		}
		covered, missing := w.Coverage(sent)
		must.SliceEmpty(t, missing)
		must.Greater(t, 0.8, covered)
		must.LessEq(t, 1+1e-9, covered)
	})
}

func TestSequence_IsUnbiased(t *testing.T) {
	w := shares(1, 2, 997) // the first is in one deck of ten
	const decks = 4000
	sent := make([]int, 3)
	for id := range uint64(decks) {
		s := w.Sequence(source(id))
		for range 100 {
			sent[s.Next()]++
		}
	}
	for i, want := range []float64{0.1, 0.2, 99.7} {
		must.InDelta(t, want, float64(sent[i])/decks, 5*math.Sqrt(0.25/decks))
	}
}

func TestSequence_IsTheSameForBothTwins(t *testing.T) {
	w := shares(5, 1, 3, 9)
	control, treatment, other := w.Sequence(source(7)), w.Sequence(source(7)), w.Sequence(source(8))
	differ := false
	for range 500 {
		next := control.Next()
		must.Eq(t, next, treatment.Next())
		differ = other.Next() != next || differ
	}
	must.True(t, differ)
}

func TestCoverage_NamesWhatCarriesTheTraffic(t *testing.T) {
	w := shares(70, 20, 6, 4)
	covered, missing := w.Coverage([]int{3, 0, 0, 0})
	must.InDelta(t, 0.7, covered, 1e-9)
	must.Eq(t, []string{"GET /b (20 % of the traffic)", "GET /c (6 % of the traffic)"}, missing)

	w.Recorded = 200 // half of what was recorded can't be sent again
	covered, missing = w.Coverage([]int{1, 1, 1, 1})
	must.InDelta(t, 0.5, covered, 1e-9)
	must.Eq(t, []string{"what the recording left out (50 % of the traffic)"}, missing)

	covered, missing = workload.Workload{}.Coverage(nil)
	must.Zero(t, covered)
	must.SliceEmpty(t, missing)
}

func TestCoverage_TakesLightPathsOfAFolderTogether(t *testing.T) {
	w := workload.Workload{Requests: []workload.Request{{Kind: workload.HTTP, Method: "GET", Path: "/items/7?a=b", Weight: 100}}}
	for i := range 400 {
		folder := "items"
		if i%4 == 0 {
			folder = fmt.Sprintf("users/%d", i)
		}
		w.Requests = append(w.Requests, workload.Request{Kind: workload.HTTP, Method: "GET", Path: fmt.Sprintf("/%s/n%d", folder, i), Weight: 1})
	}
	sent := make([]int, len(w.Requests))
	sent[0] = 1
	covered, missing := w.Coverage(sent)
	must.InDelta(t, 0.2, covered, 1e-9)
	must.Eq(t, []string{"GET /items/* (60 % of the traffic)", "GET /users/* (20 % of the traffic)"}, missing)

	sent[1], sent[2] = 1, 1 // one user, one item
	covered, missing = w.Coverage(sent)
	must.InDelta(t, 1, covered, 1e-9)
	must.SliceEmpty(t, missing)
}

func TestRateOf_SaysWhereTheRateComesFrom(t *testing.T) {
	hours, idle := make([]*float64, 168), make([]*float64, 168)
	hours[9], hours[33], hours[162], idle[9] = new(12.0), new(41.0), new(40.0), new(0.0)
	profile := func(b api.Baseline) *api.Profile {
		b.KPI = api.KPIRequests
		return &api.Profile{KPIs: []api.Baseline{{KPI: api.KPICPU, Mean: 99}, b}}
	}
	recorded := workload.Workload{Recorded: 300, Seconds: 100}
	for name, c := range map[string]struct {
		profile *api.Profile
		w       workload.Workload
		rate    float64
		reason  string
	}{
		"the busiest hour": {profile(api.Baseline{Mean: 3, Hours: hours}), recorded, 5, "12 % of the 41 requests/s that an instance has in its busiest hour of the week (Tuesday 9:00 UTC)"},
		"one that is idle": {profile(api.Baseline{Mean: 3, Hours: idle}), recorded, 3, "the 3 requests/s that an instance has on average"},
		"no hours":         {profile(api.Baseline{Mean: 3}), recorded, 3, "the 3 requests/s that an instance has on average"},
		"a busy service":   {profile(api.Baseline{Mean: 1030.4}), recorded, 5, "0.49 % of the 1030 requests/s that an instance has on average"},
		"little load":      {profile(api.Baseline{Mean: 0.25}), recorded, 1, "1 requests/s, and not the 0.25 requests/s that an instance has on average"},
		"cold":             {profile(api.Baseline{Mean: 40, Cold: true}), recorded, 3, "the 3 requests/s that the recording has"},
		"no profile":       {nil, recorded, 3, "the 3 requests/s that the recording has"},
		"nothing is known": {nil, workload.Workload{}, 5, "5 requests/s, as the target's own rate is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			got := workload.RateOf(c.profile, c.w, 5)
			must.Eq(t, c.rate, got.PerSecond)
			must.Eq(t, c.reason, got.Reason)
		})
	}
}

func TestFind_ReadsTheFileThatThePolicyMeant(t *testing.T) {
	text := "{\"path\":\"/a\"}\n"
	policies := []api.SourceFile{
		{Name: "none.hcl"},
		{Name: "web.hcl", Files: map[string]string{"load/broken.har": "{", "load/web.ndjson": text}},
	}
	w, err := workload.Find(workload.Digest([]byte(text)), policies)
	must.NoError(t, err)
	must.Eq(t, "GET /a", w.Requests[0].String())

	_, err = workload.Find(workload.Digest([]byte("{")), policies)
	must.ErrorContains(t, err, "load/broken.har")

	_, err = workload.Find(workload.Digest([]byte("gone")), policies)
	must.True(t, api.IsCode(err, api.CodeNotFound))
}

func TestSummarise_TellsWhatIsInTheFile(t *testing.T) {
	file := []byte(`{"workload":1,"source":"access log","requests":200,"seconds":50,"unexpected":2}
{"path":"/a","weight":60,"status":200,"headers":{"host":"shop.example"}}
{"method":"POST","path":"/b","weight":40,"status":"2xx","headers":{"Authorization":"Bearer x","Host":"shop.example"},"body":"{}"}
`)
	w, err := workload.Parse("web.ndjson", file)
	must.NoError(t, err)
	s := workload.Summarise(w, file)
	must.Eq(t, workload.Summary{
		Digest: workload.Digest(file), Source: "access log", Requests: 2, Weight: 100, Recorded: 200, Kept: 0.5, Rate: 4, Unexpected: 2,
		Mutating: 0.4, Bodies: 1, Hosts: []string{"shop.example"}, Credentials: []string{"Authorization"},
		Mix: []workload.Part{{Name: "GET, answered 200", Share: 0.6}, {Name: "POST, answered 2xx", Share: 0.4}},
		Top: []workload.Part{{Name: "GET /a", Share: 0.6}, {Name: "POST /b", Share: 0.4}},
	}, s)
}
