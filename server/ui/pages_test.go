package ui_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestRollouts_ShowWhatNeedsAPersonFirst(t *testing.T) {
	b := newBackend()
	held, done, waits := open("r0"), open("r3"), open("r2")
	held.Status, held.Holds = api.RolloutHolding, []api.Hold{{Source: "prometheus", Reason: "it gives no answer", Since: began}, {Source: "nomad"}}
	done.Status, done.Ended, done.Patch = api.RolloutRolledBack, began.Add(time.Hour), "web-1"
	waits.Status = api.RolloutWaiting
	b.answers["/v1/rollouts"] = []api.Rollout{open("r1"), waits, done, held}
	alice := in(t, b)
	for path, want := range map[string][]string{
		"/ui/rollouts":                     {"r0", "r1", "r2"},
		"/ui/rollouts?show=all":            {"r0", "r1", "r2", "r3"},
		"/ui/rollouts?show=ended":          {"r3"},
		"/ui/rollouts?show=turned+back":    {"r3"},
		"/ui/rollouts?show=needs+a+person": {"r0"},
		"/ui/rollouts?patch=web-1":         {"r3"},
		"/ui/rollouts?q=web+HOLDING":       {"r0"},
		"/ui/rollouts?q=nothing":           nil,
		"/ui/rollouts?show=bogus":          {"r0", "r1", "r2"},
	} {
		text := alice.get(path).text
		var got []string
		for _, m := range regexp.MustCompile(`<tr id="r-(\w+)"`).FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		must.Eq(t, want, got, must.Sprint(path))
	}
	text := alice.get("/ui/rollouts").text
	must.StrContains(t, text, "prometheus: it gives no answer")
	must.StrContains(t, text, "and 1 further reason")
	must.StrContains(t, text, `<progress max="2" value="1"`)
}

func TestRollouts_AreCutIntoPages(t *testing.T) {
	b := newBackend()
	var many []api.Rollout
	for i := range 450 {
		many = append(many, open(fmt.Sprintf("r%03d", i)))
	}
	b.answers["/v1/rollouts"] = many
	alice := in(t, b)
	for path, first := range map[string]string{
		"/ui/rollouts": "r449", "/ui/rollouts?page=2": "r249", "/ui/rollouts?page=3": "r049", "/ui/rollouts?page=99": "r049", "/ui/rollouts?page=x": "r449",
	} {
		text := alice.get(path).text
		at := strings.Index(text, `<tr id="r-`)
		must.EqOp(t, first, text[at+10:at+14], must.Sprint(path))
	}
	must.StrContains(t, alice.get("/ui/rollouts?q=web").text, `href="/ui/rollouts?page=3&amp;q=web"`)
}

func TestRollout_ShowsBothArmsAndWhyItStandsStill(t *testing.T) {
	b := newBackend()
	r := open("r1")
	r.Status, r.Holds = api.RolloutHolding, []api.Hold{{Source: "room", Reason: "no room for prod/web/web", Since: began}}
	b.answers["/v1/rollout/r1"] = r
	text := in(t, b).get("/ui/rollout/r1").text
	for _, want := range []string{
		"no room for prod/web/web", "Ends when Nomad has room for the instances.",
		`class="cell patched healthy" title="web[0]: patched, healthy, on aaaaaaaa"`, `class="cell former unhealthy"`,
		"check &lt;http&gt; fails", "1 patched, 1 healthy", "1 former, 0 healthy",
		"<b>10 %</b> <span>healthy, being judged", "<b>50 %</b> <span>to come", "<b>100 %</b> <span>to come",
		"0.1 %</td><td class=\"n\">0.2 %</td>", `<meter class="against" min="0" max="2.5" value="0.4"`, "above 1.1×", "10^0.9 of 10^1.3, below 2×",
		"<code>SHOP_VERSION=2.0</code> <code>image = web:2</code>", "web.hcl:3,5", "target.critical is true", `data-live="/ui/live?topic=rollout&amp;topic=effect&amp;topic=brake"`,
	} {
		must.StrContains(t, text, want)
	}
}

func TestRollout_OffersWhatItsUserMayDo(t *testing.T) {
	awaiting, back, ended, paused := open("r1"), open("r1"), open("r1"), open("r1")
	awaiting.Status, awaiting.Former, awaiting.Stages, awaiting.Instances = api.RolloutAwaitingApproval, nil, nil, nil
	awaiting.Decision.Approval = api.ApprovalSpec{From: "managers", Count: 1}
	back.Status, ended.Status, paused.Status, paused.Resume = api.RolloutRollingBack, api.RolloutComplete, api.RolloutPaused, api.RolloutRunning
	for name, tc := range map[string]struct {
		rollout api.Rollout
		caps    []api.Capability
		want    []string
	}{
		"judged":            {open("r1"), api.Capabilities(), []string{"Promote", "Pause", "Abort", "Roll back"}},
		"awaits approval":   {awaiting, api.Capabilities(), []string{"Approve", "Pause", "Decline"}},
		"of an approver":    {awaiting, []api.Capability{api.CapRead, api.CapApprove}, []string{"Approve"}},
		"of a reader":       {open("r1"), []api.Capability{api.CapRead}, nil},
		"on its way back":   {back, api.Capabilities(), nil},
		"ended":             {ended, api.Capabilities(), nil},
		"paused in a stage": {paused, api.Capabilities(), []string{"Resume", "Promote", "Abort", "Roll back"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend()
			b.caps, b.answers["/v1/rollout/r1"] = tc.caps, tc.rollout
			var got []string
			for _, m := range regexp.MustCompile(`<a class="button \w*" href="/ui/rollout/r1/\w+">([^<]+)</a>`).FindAllStringSubmatch(in(t, b).get("/ui/rollout/r1").text, -1) {
				got = append(got, m[1])
			}
			must.Eq(t, tc.want, got)
		})
	}
}

func TestConfirmation_SaysWhatWillHappen(t *testing.T) {
	b := newBackend()
	alice := in(t, b)
	for action, want := range map[string][]string{
		"rollback": {"1 patched instance returns to job version 7, exactly as it was: in steps within the budget", "then quarantined for prod/web/web", "Neither the brake nor a freeze holds a rollback"},
		"abort":    {"1 patched instance returns to job version 7", "may be submitted again"},
		"pause":    {"1 instance stays patched, and 1 instance stays former", "It can be rolled back at any time"},
		"promote":  {"Stage 1 is taken for good", "The record says that alice did it", "The judge says continue so far: not enough is known."},
	} {
		text := alice.get("/ui/rollout/r1/" + action).text
		for _, w := range want {
			must.StrContains(t, text, w)
		}
	}
	p := alice.get("/ui/rollout/r1/resume")
	must.EqOp(t, http.StatusConflict, p.status)
	must.StrContains(t, p.text, "resume can&#39;t be done now: the rollout is running")
	must.SliceEmpty(t, b.posted, must.Sprint("looking changes nothing"))
}

func TestActions_GoThroughTheAPI(t *testing.T) {
	b := newBackend()
	alice := in(t, b)
	p := alice.post("/ui/rollout/r1/rollback", url.Values{"note": {" checkout is slow "}})
	must.EqOp(t, http.StatusSeeOther, p.status)
	must.EqOp(t, "/ui/rollout/r1", p.header.Get("Location"))
	must.Eq(t, []string{`/v1/rollout/r1/rollback {"note":"checkout is slow"}`}, b.posted)
	for _, from := range b.from {
		must.StrHasPrefix(t, "127.0.0.1:", from, must.Sprint("the API's audit log has the browser's address"))
	}

	b.errs["/v1/rollout/r1/pause"] = api.Errorf(api.CodePermissionDenied, "identity alice lacks the capability rollout-control")
	p = alice.post("/ui/rollout/r1/pause", url.Values{"note": {"why"}})
	must.EqOp(t, http.StatusForbidden, p.status)
	must.StrContains(t, p.text, "identity alice lacks the capability rollout-control")
	must.StrContains(t, p.text, ">why</textarea>")
}

// TestActions_ThatGoForwardAreOfWhatWasSeen has the rollout move between the page and the
// click: who promoted stage 1 did not promote stage 2. A rollback waits for nothing.
func TestActions_ThatGoForwardAreOfWhatWasSeen(t *testing.T) {
	b := newBackend()
	alice := in(t, b)
	m := regexp.MustCompile(`name="seen" value="([^"]*)"`).FindStringSubmatch(alice.get("/ui/rollout/r1/promote").text)
	must.Len(t, 2, m)
	moved := open("r1")
	moved.Stages = append(moved.Stages, api.Stage{Number: 2, Percent: 50, Instances: 5, Ready: began})
	b.answers["/v1/rollout/r1"] = moved

	p := alice.post("/ui/rollout/r1/promote", url.Values{"seen": {m[1]}})
	must.EqOp(t, http.StatusConflict, p.status)
	must.StrContains(t, p.text, "the rollout has moved since this page was made")
	must.StrContains(t, p.text, "Stage 2 is taken for good")
	must.SliceEmpty(t, b.posted)

	must.EqOp(t, http.StatusSeeOther, alice.post("/ui/rollout/r1/rollback", url.Values{"seen": {m[1]}}).status)
	must.Len(t, 1, b.posted)
}

// TestActions_AreOfTheDecisionThatWasSeen has the policies decide anew between the page and
// the click, while the rollout waits as before.
func TestActions_AreOfTheDecisionThatWasSeen(t *testing.T) {
	b := newBackend()
	alice := in(t, b)
	waits := open("r1")
	waits.Status, waits.Stages, waits.Decision.Approval.Count = api.RolloutAwaitingApproval, nil, 1
	b.answers["/v1/rollout/r1"] = waits
	m := regexp.MustCompile(`name="seen" value="([^"]*)"`).FindStringSubmatch(alice.get("/ui/rollout/r1/approve").text)
	must.Len(t, 2, m)
	anew := waits
	anew.Decision.Judge = api.JudgeSpec{}
	b.answers["/v1/rollout/r1"] = anew
	must.EqOp(t, http.StatusConflict, alice.post("/ui/rollout/r1/approve", url.Values{"seen": {m[1]}}).status)
	must.SliceEmpty(t, b.posted)
	b.answers["/v1/rollout/r1"] = waits
	must.EqOp(t, http.StatusSeeOther, alice.post("/ui/rollout/r1/approve", url.Values{"seen": {m[1]}}).status)
	must.Len(t, 1, b.posted)
}

func TestBrake(t *testing.T) {
	b := newBackend()
	alice := in(t, b)
	text := alice.get("/ui/brake").text
	must.StrContains(t, text, "1 open rollout and every later one: nothing goes forward")
	must.EqOp(t, http.StatusBadRequest, alice.post("/ui/brake", url.Values{"reason": {"x"}}).status)
	must.EqOp(t, http.StatusSeeOther, alice.post("/ui/brake", url.Values{"on": {"true"}, "reason": {"incident 4711"}}).status)
	must.Eq(t, []string{`/v1/brake {"on":true,"reason":"incident 4711"}`}, b.posted)

	on := api.Brake{On: true, By: "bob", Since: began, Reason: "incident 4711"}
	b.answers["/v1/brake"] = on
	b.answers["/v1/health"] = api.HealthReport{Ready: true, Leader: "a", Brake: &on}
	must.StrContains(t, alice.get("/ui/rollouts").text, "The brake is on.")
	text = alice.get("/ui/brake").text
	must.StrContains(t, text, "Take the brake off?")

	t.Log("who looked at one brake does not take another one off")
	m := regexp.MustCompile(`name="seen" value="([^"]*)"`).FindStringSubmatch(text)
	must.Len(t, 2, m)
	off := url.Values{"on": {"false"}, "seen": {m[1]}}
	b.answers["/v1/brake"] = api.Brake{On: true, By: "carol", Since: began.Add(time.Minute), Reason: "incident 4712"}
	p := alice.post("/ui/brake", off)
	must.EqOp(t, http.StatusConflict, p.status)
	must.StrContains(t, p.text, "incident 4712")
	must.Len(t, 1, b.posted)
	b.answers["/v1/brake"] = on
	must.EqOp(t, http.StatusSeeOther, alice.post("/ui/brake", off).status)
	must.EqOp(t, `/v1/brake {"on":false}`, b.posted[1])
}

func TestPages_OfAServerWithoutALeader(t *testing.T) {
	b := newBackend()
	b.errs["/v1/rollouts"] = api.Errorf(api.CodeNoLeader, "the cluster has no leader now")
	b.answers["/v1/health"] = api.HealthReport{Server: "a", Because: []string{"the cluster has no leader"}}
	p := in(t, b).get("/ui/rollouts")
	must.EqOp(t, http.StatusOK, p.status)
	must.StrContains(t, p.text, "Nobody leads now.")
	must.StrContains(t, p.text, "the cluster has no leader")
	must.StrContains(t, p.text, "web-2")

	b.errs["/v1/rollout/r1/pause"] = api.Errorf(api.CodeNoLeader, "the cluster has no leader now")
	must.EqOp(t, http.StatusServiceUnavailable, in(t, b).post("/ui/rollout/r1/pause", nil).status)
}

func TestCluster_ShowsWhatItsUserMaySee(t *testing.T) {
	b := newBackend()
	b.errs["/v1/operator/raft/configuration"] = api.Errorf(api.CodePermissionDenied, "identity alice lacks the capability operator")
	text := in(t, b).get("/ui/cluster").text
	must.StrContains(t, text, "identity alice lacks the capability operator")
	must.StrContains(t, text, "nomad")
	must.StrContains(t, text, "phased")
}

func TestLive_TellsThatSomethingChangedAndNotWhat(t *testing.T) {
	p := in(t, newBackend()).get("/ui/live?topic=rollout")
	must.EqOp(t, http.StatusOK, p.status)
	must.EqOp(t, "text/event-stream", p.header.Get("Content-Type"))
	must.EqOp(t, ": alive\n\nevent: changed\ndata: now\n\n", p.text)
}

func TestStatic(t *testing.T) {
	alice := visit(t, newBackend())
	text := alice.get("/ui/login").text
	links := regexp.MustCompile(`(?:href|src)="(/ui/static/[^"]+)"`).FindAllStringSubmatch(text, -1)
	must.SliceNotEmpty(t, links)
	for _, l := range links {
		p := alice.get(l[1])
		must.EqOp(t, http.StatusOK, p.status, must.Sprint(l[1]))
		must.StrContains(t, p.header.Get("Cache-Control"), "immutable")
	}
	must.EqOp(t, "no-cache", alice.get("/ui/static/ui.css?v=old").header.Get("Cache-Control"))
	must.EqOp(t, http.StatusNotFound, alice.get("/ui/static/..%2fui.go").status)
	must.EqOp(t, http.StatusNotFound, alice.get("/ui/static/vendor").status)
}

// firstView is how many bytes a browser may have to load before a page is there.
const firstView = 300 << 10

// weigh is what a page and its files weigh as a browser gets them.
func weigh(t *testing.T, b *browser, path string) (bytes int) {
	t.Helper()
	b.header.Set("Accept-Encoding", "gzip")
	p := b.get(path)
	must.EqOp(t, http.StatusOK, p.status)
	must.EqOp(t, "gzip", p.header.Get("Content-Encoding"))
	zipped, err := gzip.NewReader(strings.NewReader(p.text))
	must.NoError(t, err)
	text, err := io.ReadAll(zipped)
	must.NoError(t, err)
	bytes = len(p.text)
	for _, l := range regexp.MustCompile(`(?:href|src)="(/ui/static/[^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		bytes += len(b.get(l[1]).text)
	}
	return bytes
}

func TestFirstView_IsLight(t *testing.T) {
	b := newBackend()
	var many []api.Rollout
	for i := range 2000 {
		r := open(fmt.Sprintf("r%04d", i))
		r.Target.Job = fmt.Sprintf("service-%d", i*7919)
		many = append(many, r)
	}
	b.answers["/v1/rollouts"] = many
	for _, path := range []string{"/ui/rollouts", "/ui/rollout/r1", "/ui/cluster"} {
		n := weigh(t, in(t, b), path)
		t.Logf("%s: %d bytes", path, n)
		must.LessEq(t, firstView, n, must.Sprint(path))
	}
}
