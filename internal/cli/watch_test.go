package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
)

// A watch goes on over an election and sees each change once.
func TestWatch_SurvivesAnElection(t *testing.T) {
	r := api.Rollout{ID: "R1", Status: api.RolloutRunning, Reason: "stage 1 begins", ModifyIndex: 4, Since: testNow()}
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		must.EqOp(t, "/v1/rollout/R1", req.URL.Path)
		looks++
		w.Header().Set("X-Oakum-Index", "5")
		switch looks {
		case 1: // found
			must.EqOp(t, "", req.URL.Query().Get("index"))
		case 2, 3: // nothing new
			must.SliceContains(t, []string{"4", "5"}, req.URL.Query().Get("index"))
		case 4:
			fail(w, api.Errorf(api.CodeNoLeader, "the cluster has no leader now"))
			return
		default:
			must.EqOp(t, "5", req.URL.Query().Get("index"))
			r.Status, r.Reason = api.RolloutComplete, "every instance runs the patch"
		}
		must.NoError(t, json.NewEncoder(w).Encode(r))
	}))
	t.Cleanup(server.Close)
	var out, warnings bytes.Buffer
	code := Run(t.Context(), command.Options{
		Args: []string{"rollout", "status", "-watch", "R1", "-address", server.URL}, Stdin: &bytes.Buffer{},
		Stdout: &out, Stderr: &warnings, Now: testNow, Getenv: func(string) string { return "" },
	})
	must.EqOp(t, 0, code)
	must.EqOp(t, "12:00:00  the cluster has no leader now; trying again\n", warnings.String())
	line := func() string {
		text, err := out.ReadString('\n')
		must.NoError(t, err)
		return text
	}
	must.EqOp(t, "12:00:00  running · stage 1 begins\n", line())
	must.EqOp(t, "12:00:00  complete · every instance runs the patch\n", line())
	rest, err := io.ReadAll(&out)
	must.NoError(t, err)
	must.StrContains(t, string(rest), "Status    complete, for 0s")
}

// A watch of the graph sees each change once, goes on over an election and ends
// without a complaint when it is interrupted.
func TestFollow_PrintsEachChangeOfTheGraph(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	g := api.Graph{At: testNow(), Services: []api.Service{{Name: "a"}}}
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		must.EqOp(t, "/v1/graph", req.URL.Path)
		looks++
		w.Header().Set("X-Oakum-Index", strconv.Itoa(10+looks))
		switch looks {
		case 1:
			must.EqOp(t, "", req.URL.Query().Get("index"))
		case 2: // figures moved, nothing else
			must.EqOp(t, "11", req.URL.Query().Get("index"))
			g.Services[0].Healthy = 1
		case 3:
			fail(w, api.Errorf(api.CodeNoLeader, "the cluster has no leader now"))
			return
		case 4:
			must.EqOp(t, "12", req.URL.Query().Get("index"))
			g.Edges = []api.Edge{{From: "a", To: "b", State: api.EdgeDeniedAttempted}}
		default:
			interrupt()
			return
		}
		must.NoError(t, json.NewEncoder(w).Encode(g))
	}))
	t.Cleanup(server.Close)
	var out, warnings bytes.Buffer
	code := Run(ctx, command.Options{
		Args: []string{"graph", "watch", "-address", server.URL}, Stdin: &bytes.Buffer{},
		Stdout: &out, Stderr: &warnings, Now: testNow, Getenv: func(string) string { return "" },
	})
	must.EqOp(t, 0, code)
	must.EqOp(t, testNow().UTC().Format(time.RFC3339)+"\n+ a -> b  denied attempted\n", out.String())
	must.StrContains(t, warnings.String(), "no leader now; trying again")
}

// A stream and a watch say why the server ended them when the token has expired.
func TestFollow_SaysThatTheTokenExpired(t *testing.T) {
	ended := api.Errorf(api.CodeUnauthenticated, "the token of ada expired at 2026-01-02T12:00:00Z")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/v1/event/stream":
			must.NoError(t, json.NewEncoder(w).Encode(api.Event{Index: 7, Topic: api.TopicPatch, Type: "patch_submitted", Text: "submitted", At: testNow()}))
			must.NoError(t, json.NewEncoder(w).Encode(api.StreamEnd{Error: ended}))
		case req.URL.Query().Get("index") != "":
			fail(w, ended)
		default:
			w.Header().Set("X-Oakum-Index", "5")
			must.NoError(t, json.NewEncoder(w).Encode(api.Rollout{ID: "R1", Status: api.RolloutRunning, Since: testNow()}))
		}
	}))
	t.Cleanup(server.Close)
	for _, args := range [][]string{{"event", "stream"}, {"rollout", "status", "-watch", "R1"}} {
		var out, warnings bytes.Buffer
		code := Run(t.Context(), command.Options{
			Args: append(args, "-address", server.URL), Stdin: &bytes.Buffer{},
			Stdout: &out, Stderr: &warnings, Now: testNow, Getenv: func(string) string { return "" },
		})
		must.EqOp(t, command.ExitError, code)
		must.EqOp(t, "Error: the token of ada expired at 2026-01-02T12:00:00Z\n\nThe token comes from -token, OAKUM_TOKEN or oakum login.\n", warnings.String())
		must.StrNotContains(t, out.String(), "0001-01-01")
	}
}
