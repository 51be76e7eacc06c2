package stack

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"time"
)

// discoverEvery paces the look at Consul: an allocation is scraped at most a
// second after it registered, as Prometheus' own discovery would at its best.
const discoverEvery = time.Second

// Discovery tells Prometheus which services to scrape. Debian's Prometheus is
// built without Consul discovery, so this loop stands in for it.
type Discovery struct {
	ConsulAddr string
	Token      string
	File       string // file_sd file that it keeps up to date
	Log        *slog.Logger
}

// target is one entry of a file_sd file.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// service is what the agent says about one registration.
type service struct {
	ID, Service, Address string
	Port                 int
	Meta                 map[string]string
}

// Run writes the file whenever the services that carry the tag "metrics"
// change, until ctx ends. While Consul is away the last file stays.
func (d Discovery) Run(ctx context.Context) error {
	ticker := time.NewTicker(discoverEvery)
	defer ticker.Stop()
	var last []target
	away := false
	for {
		found, err := d.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			d.Log.Warn("consul is away, keeping the targets", "error", err)
		case err == nil && (last == nil || !reflect.DeepEqual(found, last)):
			if err := d.write(found); err != nil {
				return err
			}
			last = found
		}
		away = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (d Discovery) write(found []target) error {
	if err := os.MkdirAll(filepath.Dir(d.File), 0o755); err != nil {
		return fmt.Errorf("write targets: %w", err)
	}
	return writeJSON(d.File, found)
}

// look lists the targets, sorted by address. The one agent of the stack knows
// every registration; proxies are left out.
func (d Discovery) look(ctx context.Context) ([]target, error) {
	var services map[string]service
	query := url.Values{"filter": {`"metrics" in Tags and Kind == ""`}}
	consul := endpoint{d.ConsulAddr, "X-Consul-Token", d.Token}
	if err := consul.call(ctx, http.MethodGet, "/v1/agent/services?"+query.Encode(), nil, &services); err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	found := make([]target, 0, len(services))
	for _, s := range services {
		found = append(found, targetOf(s))
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Labels["service_id"] < found[j].Labels["service_id"] })
	return found, nil
}

// targetOf labels a service: the allocation stands in the ID that Nomad gives
// it, the job, group and namespace in its meta.
func targetOf(s service) target {
	address := s.Address
	if address == "" {
		address = "127.0.0.1"
	}
	labels := map[string]string{"service": s.Service, "service_id": s.ID}
	if alloc := allocOf(s.ID); alloc != "" {
		labels["alloc_id"] = alloc
	}
	for label, key := range map[string]string{
		"job_name": "oakum_job", "group": "oakum_group", "namespace": "oakum_namespace", "__metrics_path__": "metrics_path",
	} {
		if value := s.Meta[key]; value != "" {
			labels[label] = value
		}
	}
	return target{Targets: []string{fmt.Sprintf("%s:%d", address, s.Port)}, Labels: labels}
}

// allocOf takes the allocation out of an ID such as
// "_nomad-task-<allocation>-group-api-cart-http", or returns "".
func allocOf(serviceID string) string {
	const length = 36 // of the text form of a UUID
	rest, found := strings.CutPrefix(serviceID, "_nomad-task-")
	if !found || len(rest) <= length || rest[length] != '-' {
		return ""
	}
	return rest[:length]
}
