package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/log"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/config"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// Secrets that a server is given or comes across.
const (
	secretNomad  = "s3cret-of-nomad"
	secretConsul = "s3cret-of-consul"
	secretCaller = "s3cret-of-the-caller"
	secretJob    = "s3cret-of-the-job"
	secretPatch  = "s3cret-of-the-patch"
	secretScript = "s3cret-of-the-script"
	secretConfig = "s3cret-of-the-driver"
	secretMeta   = "s3cret-of-the-target"
)

// dev starts a server in memory whose outside systems answer nothing useful.
func dev(t *testing.T, change func(*config.Config)) *Server {
	t.Helper()
	s := prepared(t, change)
	must.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { must.NoError(t, s.Stop()) })
	wait.For(t, "leadership at the newest level", func() bool { return s.node.IsLeader() && s.store.Level() == levels.Supported })
	return s
}

// prepared is a server for dev that is not started.
func prepared(t *testing.T, change func(*config.Config)) *Server {
	t.Helper()
	outside := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(outside.Close)
	cfg, err := config.Load(nil, true, func(name string) string {
		return map[string]string{
			"NOMAD_ADDR": outside.URL, "NOMAD_TOKEN": secretNomad, "CONSUL_HTTP_ADDR": outside.URL,
			"CONSUL_HTTP_TOKEN": secretConsul, "PROMETHEUS_ADDR": outside.URL,
		}[name]
	})
	must.NoError(t, err)
	cfg.Addresses = config.Addresses{HTTP: "127.0.0.1:0", Raft: "127.0.0.1:0"}
	cfg.Advertise = config.Addresses{}
	cfg.EnableDebug = true
	if change != nil {
		change(cfg)
	}
	logger, err := log.New(io.Discard, "debug", "text")
	must.NoError(t, err)
	return New(cfg, "test", logger)
}

// fill puts a patch and a rollout with an open effect into the state, full of
// secrets.
func fill(t *testing.T, s *Server) {
	t.Helper()
	ref := api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}
	apply := []api.Apply{
		{Kind: api.ApplyJob, Task: "vm", Env: map[string]string{"PASSWORD": secretPatch}, Config: map[string]any{"args": []any{secretConfig}}},
		{Kind: api.ApplyScript, Task: "vm", Script: "echo " + secretScript},
	}
	_, err := s.node.Apply(t.Context(), &state.PatchSubmit{
		Patch: api.Patch{Name: "ssl", Digest: "d", Apply: apply}, Plan: api.Plan{ID: "p", Patch: "ssl", Waves: []api.Wave{{Number: 1}}},
		Rollouts: []api.Rollout{{
			ID: "p-0", Plan: "p", Patch: "ssl", PatchDigest: "d", Target: ref, Status: api.RolloutPending, Apply: apply,
			Decision: api.Decision{Approval: api.ApprovalSpec{From: "nobody", Count: 1}}, // it waits for ever
		}},
	}, "tester")
	must.NoError(t, err)
	wait.For(t, "the transition", func() bool {
		r, _ := s.store.Rollout("p-0")
		expect := r.ModifyIndex
		r.Status = api.RolloutPaused // a person stopped it: the orchestrator leaves it alone
		r.Former = &api.FormerJob{Version: 1, Job: json.RawMessage(`{"Env":"` + secretJob + `"}`)}
		r.Effect = &api.Effect{ID: "p-0/1", Kind: api.EffectStage, Stage: 1, Status: api.EffectIntended, Intended: time.Now().UTC().Add(-time.Hour)}
		return recorder{s}.Transition(t.Context(), "stage", r, expect) == nil
	})
	_, err = s.node.Apply(t.Context(), &state.GraphChange{GraphChange: api.GraphChange{
		Targets: []api.Target{{TargetRef: ref, Meta: map[string]string{"token": secretMeta}}},
	}}, "tester")
	must.NoError(t, err)
}

// oakum runs a command line against the server.
func oakum(t *testing.T, s *Server, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), command.Options{
		Args: args, Stdout: &out, Stderr: &errs, Now: time.Now, Build: command.Build{Version: "test"}, Stdin: strings.NewReader(""),
		Getenv: func(name string) string {
			return map[string]string{"OAKUM_ADDR": "http://" + s.Address(), "OAKUM_TOKEN": secretCaller}[name]
		},
	})
	return code, out.String(), errs.String()
}

func TestServer_DebugBundleHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s := dev(t, nil)
	fill(t, s)
	wait.For(t, "autopilot's first look", func() bool {
		all, err := s.node.Autopilot()
		return err == nil && all.Healthy
	})
	path := filepath.Join(t.TempDir(), "debug.tar.gz")
	code, _, stderr := oakum(t, s, "operator", "debug", "-output="+path)
	must.EqOp(t, 0, code, must.Sprint(stderr))
	parts := unpack(t, path)
	var all strings.Builder
	for _, text := range parts {
		all.WriteString(text)
	}
	for _, secret := range []string{
		secretNomad, secretConsul, secretCaller, secretJob, secretPatch, secretScript, secretConfig, secretMeta,
	} {
		must.StrNotContains(t, all.String(), secret)
	}
	for name, want := range map[string]string{
		"health.json": `"ready": true`, "rollouts.json": `"PASSWORD": "(redacted)"`, "rollout-audit.json": `"effect": "p-0/1"`,
		"autopilot.json": `"min_quorum": 3`, "autopilot-health.json": `"healthy": true`, "metrics.txt": "oakum_leader 1",
		"log.txt": `msg="leadership gained"`, "goroutine.txt": "goroutine profile: total", "heap.txt": "heap profile:", "graph.json": `"token": "(redacted)"`,
	} {
		must.StrContains(t, parts[name], want, must.Sprint(name))
	}
	must.StrNotContains(t, stderr, "could not be read")
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	must.NoError(t, err)
	defer f.Close() //nolint:errcheck // it is only read
	zipped, err := gzip.NewReader(f)
	must.NoError(t, err)
	parts := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		must.NoError(t, err)
		text, err := io.ReadAll(archive)
		must.NoError(t, err)
		parts[strings.TrimPrefix(head.Name, "oakum-debug/")] = string(text)
	}
}

func TestServer_MetricsShowTheStateAndRaft(t *testing.T) {
	t.Parallel()
	s := dev(t, nil)
	fill(t, s)
	c, err := client.New(client.Config{Address: "http://" + s.Address()})
	must.NoError(t, err)
	defer c.Close()
	missing := []string{
		"oakum_leader 1", fmt.Sprint("oakum_state_level ", levels.Supported), "oakum_effects_open 1", `oakum_rollouts_open{status="paused"} 1`,
		`oakum_rollouts_open{status="running"} 0`, "oakum_autopilot_healthy 1", "oakum_autopilot_failure_tolerance 0",
		"oakum_state_divergence 0", "oakum_last_contact_seconds 0", `oakum_server_healthy{server="dev"} 1`, "oakum_raft_apply ",
		"oakum_state_lag ", "oakum_brake 0", "oakum_raft_commitTime",
	}
	wait.For(t, "every metric", func() bool {
		var out bytes.Buffer
		must.NoError(t, c.Metrics(t.Context(), &out))
		// Raft's are shown for a minute: autopilot's may come after they went.
		missing = slices.DeleteFunc(missing, func(want string) bool { return strings.Contains(out.String(), want) })
		return len(missing) == 0
	})
}

func TestServer_AuditListsOldIntents(t *testing.T) {
	t.Parallel()
	s := dev(t, nil)
	code, stdout, _ := oakum(t, s, "operator", "rollout-audit")
	must.EqOp(t, 0, code)
	must.StrContains(t, stdout, "No effect is open.")
	fill(t, s)
	code, stdout, stderr := oakum(t, s, "operator", "rollout-audit")
	must.EqOp(t, 2, code)
	must.StrContains(t, stdout, "dev (term 2)", must.Sprint(stderr))
	code, _, _ = oakum(t, s, "operator", "rollout-audit", "-older-than=2h")
	must.EqOp(t, 0, code)
}

func TestServer_AutopilotIsSetFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := dev(t, nil)
	code, stdout, stderr := oakum(t, s, "operator", "autopilot", "set", "-min-quorum=5", "-dead-server-threshold=2h")
	must.EqOp(t, 0, code, must.Sprint(stderr))
	must.StrContains(t, stdout, "Voters at least        5")
	code, stdout, _ = oakum(t, s, "operator", "autopilot", "get")
	must.EqOp(t, 0, code)
	must.StrContains(t, stdout, "2h0m0s")
	must.StrContains(t, stdout, "the cluster, since index")
	code, _, stderr = oakum(t, s, "operator", "autopilot", "set", "-dead-server-threshold=1s")
	must.EqOp(t, 1, code)
	must.StrContains(t, stderr, "want at least 1m0s")
}

func TestServer_TheOnlyOneDoesNotLeave(t *testing.T) {
	t.Parallel()
	s := dev(t, nil)
	code, _, stderr := oakum(t, s, "operator", "raft", "leave")
	must.EqOp(t, 1, code)
	must.StrContains(t, stderr, "is the only voter and can't leave")
}

func TestServer_LeavesAndStops(t *testing.T) {
	t.Parallel()
	first := dev(t, func(c *config.Config) { c.TLS.Insecure = true }) // else it lets nobody join
	cfg := *first.cfg
	cfg.Name, cfg.Server.BootstrapExpect, cfg.Server.RetryJoin = "second", 0, []string{first.node.Address()}
	second := New(&cfg, "test", slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	must.NoError(t, second.Start(ctx))
	go func() { ended <- second.serve(ctx, func(Stage) {}) }()
	wait.For(t, "two servers", func() bool { return len(first.node.Servers()) == 2 })
	wait.For(t, "the second one to know that it is a member", func() bool {
		_, leader := second.node.Leader()
		return leader != "" && second.node.Member()
	})
	code, stdout, stderr := oakum(t, second, "operator", "raft", "leave")
	must.EqOp(t, 0, code, must.Sprint(stderr))
	must.StrContains(t, stdout, "has left the cluster")
	must.NoError(t, <-ended)
	cancel(nil)
	must.Len(t, 1, first.node.Servers())

	t.Log("a signal does the same where the configuration says so, and only there")
	cfg.Server.LeaveOnTerminate = true
	for signal, want := range map[os.Signal]int{os.Interrupt: 2, syscall.SIGTERM: 1} {
		third := New(&cfg, "test", slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancelCause(t.Context())
		must.NoError(t, third.Start(ctx))
		go func() { ended <- third.serve(ctx, func(Stage) {}) }()
		wait.For(t, "two servers", func() bool { return len(first.node.Servers()) == 2 })
		wait.For(t, "its leader", func() bool {
			all, err := first.node.Autopilot()
			return err == nil && len(all.Servers) == 2 && all.Healthy && third.node.Member()
		})
		cancel(&SignalError{Signal: signal})
		must.NoError(t, <-ended)
		must.Len(t, want, first.node.Servers(), must.Sprint(signal))
		if want == 2 {
			must.NoError(t, first.node.RemovePeer(t.Context(), "second"))
		}
	}
}
