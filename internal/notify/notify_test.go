package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
)

// world is a replicated state and a receiver.
type world struct {
	mu     sync.Mutex
	events []api.Event
	index  uint64
	marks  map[string]uint64
	writes int
	woken  chan struct{}
	old    bool // a server can't keep marks yet

	got  []api.Notice
	fail int // how many further tries fail
}

func newWorld() *world {
	return &world{index: 100, marks: map[string]uint64{}, woken: make(chan struct{})}
}

func (w *world) Watch(...api.Topic) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.woken
}

func (w *world) Events(from uint64, limit int) (out []api.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Index >= from && len(out) < limit {
			out = append(out, e)
		}
	}
	return out
}

func (w *world) NoticeMarks() (out []api.NoticeMark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, index := range w.marks {
		out = append(out, api.NoticeMark{Notifier: name, Index: index})
	}
	return out
}

func (w *world) Index() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.index
}

func (w *world) Ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.old
}

func (w *world) Mark(_ context.Context, put []api.NoticeMark, drop []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	for _, m := range put {
		w.marks[m.Notifier] = m.Index
	}
	for _, name := range drop {
		delete(w.marks, name)
	}
	return nil
}

func (w *world) Send(_ context.Context, n api.Notice) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail > 0 {
		w.fail--
		return errors.New("503")
	}
	w.got = append(w.got, n)
	return nil
}

// happens adds an event of a rollout.
func (w *world) happens(kind, rollout, namespace, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	e := api.Event{Index: w.index, Topic: api.TopicRollout, Type: kind, Key: rollout, At: time.Now(), Text: text}
	e.Payload, _ = json.Marshal(map[string]any{"patch": "openssl", "target": api.TargetRef{Namespace: namespace, Job: "web", Group: "vm"}}) // plain values
	if strings.HasPrefix(kind, "brake") {
		e.Topic, e.Payload = api.TopicBrake, nil
	}
	w.events = append(w.events, e)
	close(w.woken)
	w.woken = make(chan struct{})
}

// told takes the titles of what has been delivered since the call before.
func (w *world) told() (out []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.got {
		out = append(out, n.Title)
	}
	w.got = nil
	return out
}

// leads runs a term of leadership until end is called.
func (w *world) leads(t *testing.T, f Filter, names ...string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	o := Options{State: w, Record: w, Cluster: "test", Page: "https://oak:4740", Logger: slog.New(slog.DiscardHandler)}
	for _, name := range names {
		o.Notifiers = append(o.Notifiers, Notifier{Name: name, Sender: w, Filter: f})
	}
	go func() { done <- Run(ctx, o) }()
	synctest.Wait()
	return func() {
		cancel()
		must.ErrorIs(t, <-done, context.Canceled)
	}
}

func TestRun_TellsWhatHappensFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.happens("rollout_holding", "r0", "prod", "before anybody listened")
		defer w.leads(t, Filter{}, "slack")()
		w.happens("rollout_holding", "r1", "prod", "r1 holds")
		w.happens("effect_done", "r1", "prod", "an effect")
		w.happens("rollout_running", "r2", "prod", "r2 runs")
		must.SliceEmpty(t, w.told(), must.Sprint("events are gathered"))
		time.Sleep(gather)
		must.Eq(t, []string{"r1 holds"}, w.told())
		must.EqOp(t, w.Index(), w.marks["slack"])

		w.happens("blocked", "r6", "prod", "r6 waits for what failed")
		w.happens("rollout_awaiting_approval", "r3", "prod", "r3 waits")
		w.happens("rollout_failed", "r4", "prod", "r4 failed")
		w.happens("rollout_awaiting_approval", "r5", "prod", "r5 waits")
		w.happens("brake_on", "brake", "", "the brake is on")
		time.Sleep(gather)
		must.Eq(t, []string{"r6 waits for what failed", "r4 failed", `patch "openssl": 2 rollouts wait for an approval`, "the brake is on"}, w.told())
	})
}

func TestRun_GoesOnWhereTheLastLeaderWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		end := w.leads(t, Filter{}, "slack", "gone")
		w.happens("rollout_failed", "r1", "prod", "r1 failed")
		time.Sleep(gather)
		must.Eq(t, []string{"r1 failed", "r1 failed"}, w.told(), must.Sprint("each of the two"))
		end()
		w.happens("rollout_failed", "r2", "prod", "while nobody led")
		defer w.leads(t, Filter{}, "slack")()
		time.Sleep(gather)
		must.Eq(t, []string{"while nobody led"}, w.told())
		must.MapNotContainsKey(t, w.marks, "gone")
	})
}

func TestRun_TriesAgainAndGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.leads(t, Filter{}, "slack")()
		w.fail = 3
		w.happens("rollout_failed", "r1", "prod", "r1 failed")
		time.Sleep(gather + 4*time.Second)
		must.SliceEmpty(t, w.told())
		time.Sleep(time.Minute)
		must.Eq(t, []string{"r1 failed"}, w.told())

		w.mu.Lock()
		w.fail = 1_000
		w.mu.Unlock()
		w.happens("rollout_failed", "r2", "prod", "no news by then")
		time.Sleep(giveUp + longestPause + gather)
		w.mu.Lock()
		must.Between(t, 10, 1_000-w.fail, 30, must.Sprint("the pauses grow"))
		w.fail = 0
		w.mu.Unlock()
		w.happens("rollout_failed", "r3", "prod", "r3 failed")
		time.Sleep(longestPause + gather)
		must.Eq(t, []string{"r3 failed"}, w.told())
	})
}

func TestRun_TellsTheSameOnceInAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.leads(t, Filter{}, "slack")()
		for range 20 {
			w.happens("rollout_holding", "r1", "prod", "nomad gives no answer")
			time.Sleep(2 * time.Minute)
		}
		must.Eq(t, []string{"nomad gives no answer"}, w.told())
		before := w.writes
		time.Sleep(quiet)
		w.happens("rollout_holding", "r1", "prod", "nomad gives no answer")
		time.Sleep(gather)
		must.Eq(t, []string{"nomad gives no answer"}, w.told())
		must.EqOp(t, before+1, w.writes, must.Sprint("what is told to nobody writes nothing"))
	})
}

func TestRun_WaitsForServersThatKeepNoMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.old = true
		defer w.leads(t, Filter{}, "slack")()
		w.happens("rollout_failed", "r1", "prod", "r1 failed")
		time.Sleep(time.Minute)
		must.SliceEmpty(t, w.told())
		w.mu.Lock()
		w.old = false
		w.mu.Unlock()
		time.Sleep(time.Minute)
		w.happens("rollout_failed", "r2", "prod", "r2 failed")
		time.Sleep(time.Minute)
		must.Eq(t, []string{"r2 failed"}, w.told())
	})
}

func TestFilter(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.happens("rollout_holding", "r1", "prod-eu", "a")
	w.happens("rollout_holding", "r2", "dev", "b")
	w.happens("rollout_complete", "r3", "prod-eu", "c")
	w.happens("brake_off", "brake", "", "d")
	f := Filter{On: []api.NoticeKind{api.NoticeHold, api.NoticeBrake}, Namespaces: []string{"prod-*"}}
	var got []string
	for _, e := range w.events {
		if _, ok := f.read(e); ok {
			got = append(got, e.Text)
		}
	}
	must.Eq(t, []string{"a", "d"}, got)
}

// TestKinds_HaveAVerb holds the three lists of kinds together.
func TestKinds_HaveAVerb(t *testing.T) {
	t.Parallel()
	made := map[api.NoticeKind]bool{}
	for _, kind := range kinds() {
		made[kind] = true
	}
	for _, kind := range api.NoticeKinds() {
		must.True(t, made[kind], must.Sprint(kind))
		must.True(t, verbs()[kind] != "" || kind == api.NoticeBrake, must.Sprint(kind))
	}
	must.EqOp(t, len(api.NoticeKinds()), len(made))
}

func TestGroup_BoundsWhatItTells(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 14 {
		w.happens("rollout_holding", fmt.Sprintf("r%d", i%12), "prod", "line\none\x1b[2J<!channel> @here "+strings.Repeat("ä", 600))
	}
	var events []event
	for _, e := range w.events {
		told, ok := Filter{}.read(e)
		must.True(t, ok)
		events = append(events, told)
	}
	list := group(events, "test", "https://oak:4740")
	must.Len(t, 1, list)
	n := list[0]
	must.Len(t, 12, n.Rollouts)
	must.Len(t, api.NoticeTexts, n.Texts)
	must.EqOp(t, 4, n.More)
	must.EqOp(t, "https://oak:4740/ui/rollouts", n.Link)
	must.EqOp(t, textMax, len([]rune(n.Texts[0])))
	must.StrHasPrefix(t, "line one [2J<!channel>", n.Texts[0])
	text := message(n)
	must.StrContains(t, text, "- and 4 more")
	must.StrNotContains(t, text, "<!")
	must.StrNotContains(t, text, "@here")
	must.StrHasSuffix(t, n.Link, text)
}

func TestSender_PostsJSON(t *testing.T) {
	t.Parallel()
	var got api.Notice
	status := http.StatusNoContent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		must.NoError(t, json.NewDecoder(r.Body).Decode(&got))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer server.Close()
	s, err := NewSender(server.URL + "/hook/SECRETTOKEN?key=SECRETKEY")
	must.NoError(t, err)
	want := api.Notice{Kind: api.NoticeHold, Title: "t", Texts: []string{"t"}, At: time.Unix(1, 0).UTC(), Index: 7}
	must.NoError(t, s.Send(t.Context(), want))
	must.Eq(t, want, got)
	for _, status = range []int{http.StatusFound, http.StatusForbidden, http.StatusInternalServerError} {
		err := s.Send(t.Context(), want)
		must.ErrorContains(t, err, http.StatusText(status))
		must.StrNotContains(t, err.Error(), "SECRET")
	}
	server.Close()
	err = s.Send(t.Context(), want)
	must.Error(t, err)
	must.StrNotContains(t, err.Error(), "SECRET")
}

// TestSender_SpeaksToServices has shoutrrr's service for any web hook post a text.
func TestSender_SpeaksToServices(t *testing.T) {
	t.Parallel()
	var got string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Title, Message string }
		_ = json.NewDecoder(r.Body).Decode(&body) // what is no JSON leaves nothing
		got = body.Title + ": " + body.Message
		w.WriteHeader(status)
	}))
	defer server.Close()
	s, err := NewSender("generic+" + server.URL + "/SECRETPATH?template=json")
	must.NoError(t, err)
	n := api.Notice{Kind: api.NoticeHold, Title: "t", Texts: []string{"it holds"}, Link: "https://oak/ui"}
	must.NoError(t, s.Send(t.Context(), n))
	must.EqOp(t, "Oakum: hold: it holds\nhttps://oak/ui", got)
	status = http.StatusTeapot
	err = s.Send(t.Context(), n)
	must.Error(t, err)
	must.StrNotContains(t, err.Error(), "SECRET")
}

// TestSender_LeavesOneTryBehind has a receiver that never answers.
func TestSender_LeavesOneTryBehind(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-hang
	}))
	s, err := NewSender("generic+" + server.URL + "/hook")
	must.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Send(ctx, api.Notice{Texts: []string{"a"}}) }()
	wait.For(t, "the receiver is asked", func() bool { return asked.Load() == 1 })
	cancel()
	must.ErrorIs(t, <-ended, context.Canceled)
	must.ErrorContains(t, s.Send(ctx, api.Notice{Texts: []string{"b"}}), "a former try goes on")
	must.EqOp(t, 1, asked.Load())
	close(hang)
	server.Close()
}

func TestNewSender_RefusesWithoutRepeatingSecrets(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "SECRET", "https://", "nosuch://SECRETTOKEN@x", "slack://SECRETTOKEN", "logger://", "://SECRET", "http://[SECRET"} {
		_, err := NewSender(address)
		must.Error(t, err, must.Sprint(address))
		must.StrNotContains(t, err.Error(), "SECRET", must.Sprint(address))
	}
}
