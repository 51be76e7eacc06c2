package rollout

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

var update = flag.Bool("update", false, "rewrite the transcripts with what happens now")

// TestTranscripts runs each testdata/*.txt: a line that is not indented is an
// event, the indented lines below it are the rollout that follows.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	must.NoError(t, err)
	must.Positive(t, len(files))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			must.NoError(t, err)
			got := replay(t, string(want))
			if *update {
				must.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			must.Eq(t, "", cmp.Diff(string(want), got))
		})
	}
}

func replay(t *testing.T, script string) string {
	t.Helper()
	s := &script1{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var out strings.Builder
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "  "):
			continue // rewritten below
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintln(&out, line)
		for _, l := range s.do(t, line) {
			fmt.Fprintln(&out, "  "+l)
		}
	}
	return out.String()
}

// script1 is the world of one transcript.
type script1 struct {
	now time.Time
	r   api.Rollout
}

// do performs one line: a verb and key=value arguments.
func (s *script1) do(t *testing.T, line string) []string {
	t.Helper()
	words := strings.Fields(line)
	args := map[string]string{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		args[k] = v
	}
	if d, ok := args["after"]; ok {
		step, err := time.ParseDuration(d)
		must.NoError(t, err)
		s.now, s.r = s.now.Add(step), Count(s.r, step)
	}
	var ev Event
	switch words[0] {
	case "rollout":
		s.r = newRollout(args, s.now)
		return s.show()
	case "tick":
		ev = Tick{Observation: s.observation(t, args)}
	case "found":
		ev = Found{Drift: strings.ReplaceAll(args["drift"], "_", " ")}
	case "watched":
		ev = s.watchedOf(args)
	case "done", "failed":
		ev = Finished{EffectResult: s.result(words[0] == "done", args)}
	default:
		groups := strings.Split(args["groups"], ",")
		ev = Command{Action: words[0], By: api.Identity{Name: args["by"], Subject: args["subject"], Via: args["via"], Groups: groups}}
	}
	next, err := Step(s.r, ev, s.now)
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	s.r = next
	return s.show()
}

// watchedOf reads worse=KPI,..., for=DURATION, alone=DURATION and else=REASON.
func (s *script1) watchedOf(args map[string]string) Watched {
	w := Watched{Else: strings.ReplaceAll(args["else"], "_", " ")}
	w.For, _ = time.ParseDuration(args["for"])
	w.Alone, _ = time.ParseDuration(args["alone"])
	for _, name := range strings.FieldsFunc(args["worse"], func(c rune) bool { return c == ',' }) {
		w.Worse = append(w.Worse, api.NeighbourEffect{Target: s.r.Target, KPI: name, Value: 8, Before: 2, Since: s.now, Seen: s.now})
	}
	return w
}

func newRollout(args map[string]string, now time.Time) api.Rollout {
	r := api.Rollout{
		ID: "r1", Plan: "p1", Patch: "openssl", Wave: 1, Status: api.RolloutPending, Since: now, Created: now,
		Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"},
	}
	r.Decision.Deadline, r.Decision.JobDeadline = api.Duration(time.Minute), args["deadline"] == "job"
	r.Decision.Rollback = api.RollbackSpec{OnVerdict: true, OnHealth: true, OnDeadline: true, OnDenied: args["denied"] != "hold"}
	r.Decision.Rollback.AtOnce = args["at_once"] == "yes"
	if window, err := time.ParseDuration(args["window"]); err == nil {
		r.Decision.Rollback.Window = api.Duration(window)
	}
	r.Decision.Rollback.Automatic = args["automatic"] == "yes"
	r.Decision.Judge.Enabled = args["judge"] == "yes"
	for _, name := range strings.FieldsFunc(args["kpis"], func(c rune) bool { return c == ',' }) {
		r.Decision.Judge.KPIs = append(r.Decision.Judge.KPIs, api.KPISpec{KPI: name})
	}
	r.Decision.Judge.OnInconclusive = "hold"
	r.Decision.Simulate.Required = args["simulate"] == "yes"
	r.Decision.Simulate.OnInconclusive = args["inconclusive"]
	r.Decision.Critical = args["critical"] == "yes"
	r.Decision.Budget.Instances, _ = strconv.Atoi(args["budget"])
	r.Decision.Approval.Count, _ = strconv.Atoi(args["approvals"])
	r.Decision.Approval.From = args["from"]
	expires, _ := time.ParseDuration(args["expires"])
	r.Decision.Approval.Expires = api.Duration(expires)
	r.Decision.Approval.Self = args["self"] == "yes"
	r.SubmittedBy, r.Submitter, _ = strings.Cut(args["submitted"], "/")
	if source := args["doubt"]; source != "" {
		r.Decision.Approval.Count = 1
		r.Decision.Doubt = &api.Doubt{Sources: []api.DoubtedSource{{Name: source, State: api.SourceAway, Since: now, Failures: 3}}}
	}
	return r
}

// anew is the decision of a rollout in doubt, made anew: anew=approvals:COUNT[:FROM]
// or anew=simulate.
func anew(r api.Rollout, text string, now time.Time) *api.Decision {
	d := r.Decision
	d.Approval = api.ApprovalSpec{}
	words := strings.Split(text, ":")
	switch words[0] {
	case "simulate":
		d.Simulate.Required = true
	case "approvals":
		d.Approval.Count, _ = strconv.Atoi(words[1])
		if len(words) > 2 {
			d.Approval.From = words[2]
		}
	}
	if d.Doubt != nil {
		doubt := *d.Doubt
		doubt.Lapse = &api.Lapse{At: now, Reason: "the graph is whole"}
		d.Doubt = &doubt
	}
	return &d
}

// observation reads job=BUILD/PACE, patched=HEALTHY/ALL, former=HEALTHY/ALL,
// foreign=HEALTHY/ALL, parallel=MAX_PARALLEL, moves=PARALLEL, index=MODIFY_INDEX,
// expected=INDEX, shared=yes, count=INSTANCES, excused=ID,...,
// unplaced=REASON, deployment=failed, others=REASON, lost=NAME, away=SOURCE, closed=SOURCE, verdict=KIND, advice=ACTION[:PERCENT[:MODE]], gate=open,
// denied=FROM>TO since=-DURATION, denied=unknown, anew=DECISION, proof=asked, disproved=REASON,
// gone=LOSS[:BUILD:PACE].
func (s *script1) observation(t *testing.T, args map[string]string) Observation {
	t.Helper()
	var o Observation
	o.Gate.Open = args["gate"] == "open"
	o.Gate.Reason = "the gate is closed"
	if job, ok := args["job"]; ok {
		build, pace, _ := strings.Cut(job, "/")
		o.Job = &JobView{Build: api.Build(build), Pace: Pace(pace), ModifyIndex: 100, Version: 7, Count: 10}
		o.Job.JobPace = JobPace{MinHealthyTime: 10 * time.Second, HealthyDeadline: 3 * time.Minute}
		o.Job.Parallel, _ = strconv.Atoi(args["moves"])
		if n, ok := args["index"]; ok {
			o.Job.ModifyIndex, _ = strconv.ParseUint(n, 10, 64)
		}
		o.Job.Expected, o.Job.Shared = 100, args["shared"] == "yes"
		if n, ok := args["expected"]; ok {
			o.Job.Expected, _ = strconv.ParseUint(n, 10, 64)
		}
		o.Job.MaxParallel, _ = strconv.Atoi(args["parallel"])
		if n, ok := args["count"]; ok {
			o.Job.Count, _ = strconv.Atoi(n)
		}
		o.Job.Excused, o.Job.Unplaced = excused(args["excused"]), strings.ReplaceAll(args["unplaced"], "_", " ")
		o.Job.Instances = append(instances(t, args["patched"], api.BuildPatched), instances(t, args["former"], api.BuildFormer)...)
		o.Job.Instances = append(o.Job.Instances, instances(t, args["foreign"], api.BuildForeign)...)
		o.Job.Failed, o.Job.Others = args["deployment"] == "failed", strings.ReplaceAll(args["others"], "_", " ")
		if name := args["lost"]; name != "" {
			o.Job.Instances = append(o.Job.Instances, api.Instance{
				Name: name, Build: api.BuildPatched, Health: api.Unhealthy, Because: "allocation is failed",
			})
		}
	}
	o.Unproved, o.Disproved = args["proof"] == "asked", strings.ReplaceAll(args["disproved"], "_", " ")
	if loss := strings.Split(args["gone"], ":"); loss[0] != "" {
		o.Gone = &Gone{Loss: Loss(loss[0])}
		if len(loss) > 2 {
			o.Gone.Build, o.Gone.Pace = api.Build(loss[1]), Pace(loss[2])
		}
	}
	if text, ok := args["anew"]; ok {
		o.Anew = anew(s.r, text, s.now)
	}
	if source := args["away"]; source != "" {
		o.Away = []api.Hold{{Source: source, Reason: source + " gives no answer"}}
	}
	if source := args["closed"]; source != "" {
		o.Closed = []api.Hold{{Source: source, Reason: "the " + source + " is on"}}
	}
	if kind := args["verdict"]; kind != "" {
		o.Verdict = &api.Verdict{Kind: api.VerdictKind(kind), At: s.now, Reason: "the numbers say " + kind}
		o.Judge = &api.JudgeState{Stage: len(s.r.Stages)}
	}
	o.DeniedUnknown = args["denied"] == "unknown"
	if from, to, ok := strings.Cut(args["denied"], ">"); ok {
		since := s.now
		if d, ok := args["since"]; ok {
			ago, err := time.ParseDuration(d)
			must.NoError(t, err)
			since = since.Add(ago)
		}
		o.Denied = []api.Attempt{{From: from, To: to, Since: since, Rule: "the default says denied"}}
	}
	if advice := strings.Split(args["advice"], ":"); advice[0] != "" {
		o.Advice = &api.Advice{Action: api.AdviceAction(advice[0]), Reason: "as told"}
		if len(advice) > 1 {
			o.Advice.Percent, _ = strconv.Atoi(advice[1])
		}
		if len(advice) > 2 {
			o.Advice.Mode = api.StageMode(advice[2])
		}
	}
	return o
}

// excused are instances whose node is lost, by ID.
func excused(ids string) map[string]string {
	out := map[string]string{}
	for _, id := range strings.FieldsFunc(ids, func(r rune) bool { return r == ',' }) {
		out[id] = "its node is lost"
	}
	return out
}

func instances(t *testing.T, text string, build api.Build) []api.Instance {
	t.Helper()
	if text == "" {
		return nil
	}
	var healthy, all int
	_, err := fmt.Sscanf(text, "%d/%d", &healthy, &all)
	must.NoError(t, err)
	var out []api.Instance
	for i := range all {
		in := api.Instance{ID: fmt.Sprint(build, i), Name: fmt.Sprintf("%s[%d]", build, i), Build: build, Health: api.Healthy}
		if i >= healthy {
			in.Health, in.Because = api.Pending, "still starting"
		}
		out = append(out, in)
	}
	return out
}

func (s *script1) result(ok bool, args map[string]string) EffectResult {
	res := EffectResult{OK: ok, Overtaken: args["overtaken"] == "yes", Outcome: strings.ReplaceAll(args["told"], "_", " "), Verdict: api.SimulationVerdict(args["says"])}
	if s.r.Effect != nil {
		res.ID = s.r.Effect.ID
		if s.r.Effect.Kind == api.EffectTag && ok {
			res.Former = &api.FormerJob{Version: 6, ModifyIndex: 90, Count: 10, Job: []byte(`{"ID":"web"}`)}
			res.Former.Unhealthy, _ = strconv.Atoi(args["unhealthy"])
			if n, err := strconv.Atoi(args["count"]); err == nil {
				res.Former.Count = n
			}
			if res.Former.Launch = api.Launch(args["launch"]); res.Former.Launch != "" {
				res.Former.Count = 0
			}
			res.Unchanged = args["unchanged"] == "yes"
		}
		if s.r.Effect.Kind == api.EffectSimulate {
			res.Simulation = "s1"
			if ok && res.Verdict == "" {
				res.Verdict = api.SimulationPass
			}
			if count, ok := args["approvals"]; ok {
				decision := s.r.Decision
				decision.Approval.Count, _ = strconv.Atoi(count)
				decision.Approval.From = args["from"]
				decision.Approval.Self = args["self"] == "yes"
				res.Decision = &decision
			}
		}
	}
	return res
}

// show prints the parts of a rollout that an operator would ask about.
func (s *script1) show() []string {
	r := s.r
	lines := []string{fmt.Sprintf("%s: %s", r.Status, r.Reason)}
	if d := r.Decision.Doubt; d != nil && d.Lapse != nil {
		lines = append(lines, fmt.Sprintf("doubt (%s) lapsed at %s: %s", d, d.Lapse.At.Format("15:04:05"), d.Lapse.Reason))
	}
	for _, h := range r.Holds {
		lines = append(lines, fmt.Sprintf("hold %s since %s: %s", h.Source, h.Since.Format("15:04:05"), h.Reason))
	}
	for _, st := range r.Stages {
		line := fmt.Sprintf("stage %d: %d %% %s, %d instances", st.Number, st.Percent, st.Mode, st.Instances)
		if !st.Ready.IsZero() {
			line += ", ready"
		}
		if !st.Judged.IsZero() {
			line += ", judged"
		}
		if st.Promoted {
			line += ", promoted"
		}
		lines = append(lines, line)
	}
	if !r.Restorable.IsZero() {
		lines = append(lines, "restorable until "+r.Restorable.Format("02 15:04:05"))
	}
	if a := r.Aftermath; a != nil && !a.Well.IsZero() {
		lines = append(lines, "well at "+a.Well.Format("15:04:05"))
	}
	if a := r.Aftermath; a != nil && !a.Since.IsZero() {
		lines = append(lines, fmt.Sprintf("worse since %s: %s; else: %s", a.Since.Format("15:04:05"), a.Reason, a.Else))
	}
	if r.Drift != nil {
		lines = append(lines, fmt.Sprintf("drift since %s: %s", r.Drift.At.Format("15:04:05"), r.Drift.Reason))
	}
	if e := r.Effect; e != nil {
		lines = append(lines, fmt.Sprintf("effect %s %s want=%d expect=%d", e.ID, e.Kind, e.Want, e.Expect))
	}
	return lines
}
