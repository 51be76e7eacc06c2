package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
)

// planServer keeps the rollouts and quarantines of two patches, and writes down what
// changes them.
type planServer struct {
	rollouts    []api.Rollout
	quarantines []api.Quarantine
	file        api.SourceFile
	digest      string // of what the file says, as the server reads it
	stuck       string // ID of a rollout that can't be given up
	calls       []string
}

func newPlanServer() *planServer {
	ref := func(job string) api.TargetRef { return api.TargetRef{Namespace: "default", Job: job, Group: "g"} }
	r := func(id, plan, patch, job string, wave int, status api.RolloutStatus, age time.Duration) api.Rollout {
		return api.Rollout{
			ID: id, Plan: plan, Patch: patch, PatchDigest: "d-" + patch, Target: ref(job), Wave: wave, Status: status,
			Created: testNow().Add(-age), Since: testNow().Add(-age), Reason: "as it is",
		}
	}
	return &planServer{
		rollouts: []api.Rollout{
			r("R1", "01PA", "openssl", "db", 1, api.RolloutComplete, 3*time.Hour),
			r("R2", "01PA", "openssl", "web", 2, api.RolloutRolledBack, 3*time.Hour),
			r("R3", "01PB", "glibc", "web", 1, api.RolloutRunning, 2*time.Hour),
			r("R4", "01PB", "glibc", "cart", 2, api.RolloutWaiting, 2*time.Hour),
			r("R5", "02PC", "openssl", "shop", 1, api.RolloutFailed, time.Hour),
		},
		quarantines: []api.Quarantine{{Patch: "openssl", Target: ref("web")}, {Patch: "openssl", Target: ref("gone")}, {Patch: "glibc", Target: ref("web")}},
		file:        api.SourceFile{Name: "openssl.hcl", Text: "patch"}, digest: "d-openssl",
	}
}

// would is what a submission does: it leaves the quarantined targets out.
func (s *planServer) would() api.PatchReceipt {
	out := api.PatchReceipt{Patch: api.Patch{Name: "openssl", Digest: s.digest}, Plan: api.Plan{ID: "03PD", Patch: "openssl"}}
	web := api.TargetRef{Namespace: "default", Job: "web", Group: "g"}
	if slices.ContainsFunc(s.quarantines, func(q api.Quarantine) bool { return q.Patch == "openssl" && q.Target == web }) {
		out.Plan.Refusals = []api.Refusal{{Target: web, Code: api.CodeConflict, Reason: "the patch is quarantined on it"}}
		return out
	}
	out.Plan.Waves = []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{Target: api.Target{TargetRef: web, Count: 2}}}}}
	return out
}

func (s *planServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(out any) { _ = json.NewEncoder(w).Encode(out) }
	if r.Method != http.MethodGet {
		s.calls = append(s.calls, r.URL.Path)
	}
	switch r.URL.Path {
	case "/v1/rollouts":
		answer(s.rollouts)
	case "/v1/quarantines":
		answer(s.quarantines)
	case "/v1/plan/02PC":
		answer(api.Plan{ID: "02PC", Patch: "openssl", Order: "least critical first"})
	case "/v1/patch/openssl":
		answer(api.Patch{Name: "openssl", Digest: "d-openssl", File: s.file})
	case "/v1/patches/plan":
		answer(s.would())
	case "/v1/patches":
		out := s.would()
		out.Rollouts = []string{"R6"}
		answer(out)
	case "/v1/quarantines/lift":
		var lift api.QuarantineLift
		_ = json.NewDecoder(r.Body).Decode(&lift)
		s.calls[len(s.calls)-1] += " " + lift.Patch + " " + lift.Target.Job
		s.quarantines = slices.DeleteFunc(s.quarantines, func(q api.Quarantine) bool { return q.Patch == lift.Patch && q.Target == lift.Target })
	case "/v1/rollout/R3/abort", "/v1/rollout/R4/abort":
		at := slices.IndexFunc(s.rollouts, func(o api.Rollout) bool { return "/v1/rollout/"+o.ID+"/abort" == r.URL.Path })
		if s.rollouts[at].ID == s.stuck {
			fail(w, &api.Error{Code: api.CodePermissionDenied, Message: "not yours"})
			return
		}
		s.rollouts[at].Status = api.RolloutCancelled
		answer(s.rollouts[at])
	default:
		fail(w, &api.Error{Code: api.CodeNotFound, Message: "nothing at " + r.URL.Path})
	}
}

func (s *planServer) run(t *testing.T, args ...string) (code int, out, warned string) {
	t.Helper()
	at := httptest.NewServer(s)
	t.Cleanup(at.Close)
	var stdout, stderr bytes.Buffer
	code = Run(t.Context(), command.Options{
		Args: append([]string{"plan"}, args...), Stdin: &bytes.Buffer{}, Stdout: &stdout, Stderr: &stderr, Now: testNow,
		Getenv: func(name string) string { return map[string]string{"OAKUM_ADDR": at.URL}[name] },
	})
	return code, stdout.String(), stderr.String()
}

func TestPlan(t *testing.T) {
	t.Parallel()
	submit := []string{"/v1/patches/plan", "/v1/patches"}
	for name, c := range map[string]struct {
		change func(*planServer)
		args   []string
		code   int
		shows  []string // of either stream
		calls  []string
	}{
		"list":                       {nil, []string{"list"}, 0, []string{"01PA  openssl", "1 complete, 1 rolled_back", "01PB  glibc", "1 running, 1 waiting"}, nil},
		"list of open ones":          {nil, []string{"list", "-open", "-t", "{{len .}}"}, 0, []string{"1"}, nil},
		"read by patch":              {nil, []string{"read", "openssl"}, 0, []string{"least critical first", "R5", "failed"}, nil},
		"read by a beginning":        {nil, []string{"read", "02"}, 0, []string{"R5"}, nil},
		"of two plans":               {nil, []string{"read", "01"}, 1, []string{`"01" is the beginning of 2 plans`}, nil},
		"of none":                    {nil, []string{"abort", "zlib"}, 1, []string{`there is no plan or patch "zlib"`}, nil},
		"abort, the last wave first": {nil, []string{"abort", "glibc"}, 0, []string{"R3", "R4", "cancelled"}, []string{"/v1/rollout/R4/abort", "/v1/rollout/R3/abort"}},
		"abort, and one can't be": {
			func(s *planServer) { s.stuck = "R4" }, []string{"abort", "01PB"}, 1,
			[]string{"abort rollout R4 of default/cart/g: ", "not yours", "R3"}, []string{"/v1/rollout/R4/abort", "/v1/rollout/R3/abort"},
		},
		"abort where nothing is open": {nil, []string{"abort", "openssl"}, 0, []string{"No rollout of openssl was given up."}, nil},
		"continue, and all is in quarantine": {
			nil, []string{"continue", "openssl"}, 2, []string{"the patch is quarantined on it", "Nothing is left of the patch"}, submit[:1],
		},
		"continue": {
			func(s *planServer) { s.quarantines = nil }, []string{"continue", "openssl"}, 0, []string{"Started 1 rollout", "R6"}, submit,
		},
		"retry lifts what keeps the patch from its targets": {
			nil, []string{"retry", "openssl"}, 0, []string{"Started 1 rollout"}, []string{submit[0], "/v1/quarantines/lift openssl web", submit[1]},
		},
		"a patch of other contents": {
			func(s *planServer) { s.rollouts[4].PatchDigest = "older" }, []string{"retry", "02PC"}, 1,
			[]string{"submitted with other contents since plan 02PC"}, nil,
		},
		"a file that the token does not see whole": {
			func(s *planServer) { s.digest = "less" }, []string{"retry", "openssl"}, 1, []string{"does not see all of its file"}, submit[:1],
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPlanServer()
			if c.change != nil {
				c.change(s)
			}
			code, out, warned := s.run(t, c.args...)
			must.EqOp(t, c.code, code, must.Sprint(out, warned))
			for _, text := range c.shows {
				must.StrContains(t, out+warned, text)
			}
			must.Eq(t, c.calls, s.calls)
		})
	}
}
