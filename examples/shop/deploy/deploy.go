package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pollInterval is how often a wait looks again.
const pollInterval = 500 * time.Millisecond

// Up brings the whole shop up, starts the load, and returns once requests go
// end to end through every edge of the mesh. The context bounds the wait: on
// two cores it takes about a minute. Calling it again changes nothing.
func Up(ctx context.Context, env Env, log *slog.Logger) error {
	if err := env.check(); err != nil {
		return err
	}
	if err := Allow(ctx, env); err != nil {
		return err
	}
	log.Info("intentions written", "destinations", len(Allowed()))
	for _, s := range Services() {
		if err := Submit(ctx, env, s.Name); err != nil {
			return err
		}
		log.Info("job submitted", "job", s.Name, "instances", s.Instances)
	}
	for _, s := range Services() {
		if err := WaitHealthy(ctx, env, s.Name, s.Instances); err != nil {
			return err
		}
		log.Info("service healthy in the mesh", "service", s.Name, "instances", s.Instances)
	}
	if err := Submit(ctx, env, LoadJob); err != nil {
		return err
	}
	log.Info("load started")
	if err := WaitTraffic(ctx, env); err != nil {
		return err
	}
	log.Info("requests go end to end")
	return nil
}

// Down takes every job and intention of the shop away and waits until the
// tasks have ended and Consul has forgotten them.
func Down(ctx context.Context, env Env, log *slog.Logger) error {
	names := []string{LoadJob}
	for _, s := range slices.Backward(Services()) {
		names = append(names, s.Name)
	}
	var problems []error
	for _, name := range names {
		if err := env.nomad().call(ctx, http.MethodDelete, "/v1/job/"+name, nil, nil); err != nil {
			problems = append(problems, fmt.Errorf("stop job %s: %w", name, err))
		}
	}
	for destination := range maps.Keys(Allowed()) {
		if err := env.consul().call(ctx, http.MethodDelete, "/v1/config/service-intentions/"+destination, nil, nil); err != nil {
			problems = append(problems, fmt.Errorf("remove intentions of %s: %w", destination, err))
		}
	}
	for _, name := range names {
		problems = append(problems, waitGone(ctx, env, name))
	}
	log.Info("shop is down")
	return errors.Join(problems...)
}

// Allow writes one intention entry per destination that names its callers
// exactly; everybody else meets Consul's default.
func Allow(ctx context.Context, env Env) error {
	type source struct{ Name, Action string }
	allowed := Allowed()
	for _, destination := range slices.Sorted(maps.Keys(allowed)) {
		var sources []source
		for _, name := range allowed[destination] {
			sources = append(sources, source{name, "allow"})
		}
		entry := map[string]any{"Kind": "service-intentions", "Name": destination, "Sources": sources}
		if err := env.consul().call(ctx, http.MethodPut, "/v1/config", entry, nil); err != nil {
			return fmt.Errorf("write intentions of %s: %w", destination, err)
		}
	}
	return nil
}

// Submit registers one job file.
func Submit(ctx context.Context, env Env, name string) error {
	path := filepath.Join(env.Jobs, name+".nomad.hcl")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	var variables strings.Builder
	values := env.variables()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		// A value for a variable that the file doesn't have is an error.
		if strings.Contains(string(text), `variable "`+key+`"`) {
			fmt.Fprintf(&variables, "%s = %s\n", key, strconv.Quote(values[key]))
		}
	}
	var job json.RawMessage
	parse := map[string]any{"JobHCL": string(text), "Variables": variables.String(), "Canonicalize": true}
	if err := env.nomad().call(ctx, http.MethodPost, "/v1/jobs/parse", parse, &job); err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	if err := env.nomad().call(ctx, http.MethodPut, "/v1/jobs", map[string]any{"Job": job}, nil); err != nil {
		return fmt.Errorf("register job %s: %w", name, err)
	}
	return nil
}

// poll calls look until it returns nil or ctx ends; then the last answer says
// what was missing.
func poll(ctx context.Context, look func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// WaitHealthy waits until Consul finds that many instances of the service
// healthy in the mesh: the service and its sidecar. A deployment that failed
// ends the wait at once.
func WaitHealthy(ctx context.Context, env Env, name string, instances int) error {
	failed := ""
	err := poll(ctx, func() error {
		var rows []struct{}
		if err := env.consul().call(ctx, http.MethodGet, "/v1/health/connect/"+name+"?passing=1", nil, &rows); err != nil {
			return err
		}
		if len(rows) == instances {
			return nil
		}
		var deployment struct{ Status, StatusDescription string }
		if err := env.nomad().call(ctx, http.MethodGet, "/v1/job/"+name+"/deployment", nil, &deployment); err != nil {
			return err
		}
		if deployment.Status == "failed" {
			failed = deployment.StatusDescription
			return nil
		}
		return fmt.Errorf("%d of %d instances are healthy%s", len(rows), instances, obstacle(ctx, env, name))
	})
	if failed != "" {
		err = errors.New(failed)
	}
	if err != nil {
		return fmt.Errorf("wait for service %s: %w", name, err)
	}
	return nil
}

// obstacle says why Nomad finds no place for some instances, if that is so.
func obstacle(ctx context.Context, env Env, name string) string {
	var evaluations []struct {
		Status         string
		FailedTGAllocs map[string]struct{ DimensionExhausted, ConstraintFiltered map[string]int }
	}
	if err := env.nomad().call(ctx, http.MethodGet, "/v1/job/"+name+"/evaluations", nil, &evaluations); err != nil {
		return "" // the caller tells more about a Nomad that is away
	}
	for _, e := range evaluations {
		for group, failed := range e.FailedTGAllocs {
			if e.Status == "blocked" {
				return fmt.Sprintf("; no place for group %s: exhausted %v, filtered %v", group, failed.DimensionExhausted, failed.ConstraintFiltered)
			}
		}
	}
	return ""
}

func waitGone(ctx context.Context, env Env, name string) error {
	err := poll(ctx, func() error {
		var allocs []struct{ ClientStatus string }
		if err := env.nomad().call(ctx, http.MethodGet, "/v1/job/"+name+"/allocations", nil, &allocs); err != nil {
			return err
		}
		for _, alloc := range allocs {
			if alloc.ClientStatus == "running" || alloc.ClientStatus == "pending" {
				return errors.New("tasks are still running")
			}
		}
		var rows []struct{}
		if err := env.consul().call(ctx, http.MethodGet, "/v1/catalog/connect/"+name, nil, &rows); err != nil {
			return err
		}
		if len(rows) > 0 {
			return fmt.Errorf("consul still knows %d sidecars", len(rows))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for the end of %s: %w", name, err)
	}
	return nil
}
