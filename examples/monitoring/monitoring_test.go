//go:build e2e

// Package monitoring holds the examples to the real Prometheus.
package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/wait"
)

// startPrometheus runs the real Prometheus with the rules until the test ends, and returns
// its address.
func startPrometheus(t *testing.T) string {
	t.Helper()
	rules, err := filepath.Abs("oakum.rules.yml")
	must.NoError(t, err)
	binary, err := filepath.Abs("../../.stack/bin/prometheus")
	must.NoError(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	must.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "global: {evaluation_interval: 1s}\nrule_files: [%q]\n", rules), 0o600))
	port, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	address := port.Addr().String()
	must.NoError(t, port.Close())
	var log bytes.Buffer
	cmd := exec.Command(binary, "--config.file="+config, "--storage.tsdb.path="+dir, "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &log, &log
	must.NoError(t, cmd.Start(), must.Sprint("make stack builds the real Prometheus"))
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", log.String())
		}
	})
	return "http://" + address
}

// ask reads the data of an answer of Prometheus' API.
func ask(address, path string, into any) error {
	resp, err := http.Get(address + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Status string
		Error  string
		Data   any
	}{Data: into}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// TestExamples_AreTakenByTheRealPrometheus has it load and evaluate every rule, and asks it
// every query of the dashboard. That servers show these metrics is tested beside them.
func TestExamples_AreTakenByTheRealPrometheus(t *testing.T) {
	address := startPrometheus(t)
	wait.For(t, "every rule was evaluated", func() bool {
		var loaded struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if ask(address, "/api/v1/rules", &loaded) != nil || len(loaded.Groups) == 0 {
			return false
		}
		for _, g := range loaded.Groups {
			for _, r := range g.Rules {
				must.Eq(t, "", r.LastError, must.Sprint(r.Name))
				if r.Health != "ok" {
					return false
				}
			}
		}
		return true
	})
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("dashboard.json")
	must.NoError(t, err)
	must.NoError(t, json.Unmarshal(text, &dashboard))
	must.Positive(t, len(dashboard.Panels))
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			must.NoError(t, ask(address, "/api/v1/query?query="+url.QueryEscape(q.Expr), &struct{}{}), must.Sprint(p.Title))
		}
	}
}
