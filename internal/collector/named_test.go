package collector_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/collector"
)

const document = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "bash", "purl": "pkg:deb/debian/bash@5.2?distro=debian-12"}]}`

// keys is Consul's store.
type keys map[string]string

func (k keys) KV(_ context.Context, key string) ([]byte, error) {
	if text, ok := k[key]; ok {
		return []byte(text), nil
	}
	return nil, api.Errorf(api.CodeNotFound, "consul has no key %s", key)
}

func places(t *testing.T, texts ...string) []*url.URL {
	t.Helper()
	var out []*url.URL
	for _, text := range texts {
		u, err := collector.ParsePlace(text)
		must.NoError(t, err)
		out = append(out, u)
	}
	return out
}

func TestNamed_ReadsWhatIsBelowAnAllowedPlace(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) }))
	t.Cleanup(elsewhere.Close)
	mux := http.NewServeMux()
	answer := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	mux.HandleFunc("/sbom/web.json", answer(document))
	mux.HandleFunc("/secret", answer(document))
	mux.HandleFunc("/sbom/no.json", answer("<html>"))
	mux.HandleFunc("/sbom/other.json", answer(strings.Replace(document, `"components"`, `"metadata": {"component": {"version": "sha256:`+digest("other")+`", "type": "container", "name": "x"}}, "components"`, 1)))
	mux.HandleFunc("/sbom/large.json", answer(strings.Repeat(" ", 64<<20)+document))
	mux.Handle("/sbom/moved.json", http.RedirectHandler("/sbom/web.json", http.StatusFound))
	mux.Handle("/sbom/away.json", http.RedirectHandler(elsewhere.URL+"/sbom/web.json", http.StatusFound))
	mux.Handle("/sbom/up.json", http.RedirectHandler("/secret", http.StatusFound))
	mux.Handle("/sbom/loop.json", http.RedirectHandler("/sbom/loop.json", http.StatusFound))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	folder := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside.json")
	for path, text := range map[string]string{filepath.Join(folder, "web.json"): document, outside: document} {
		must.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	must.NoError(t, os.Symlink(outside, filepath.Join(folder, "link.json")))
	must.NoError(t, os.Symlink("web.json", filepath.Join(folder, "near.json")))

	source := collector.Named{
		Allowed: places(t, server.URL+"/sbom/", folder, "consul-kv://oakum/sbom"), Client: &http.Client{}, KV: keys{"oakum/sbom/web": document, "secret": document},
	}
	for name, c := range map[string]struct {
		named string
		wrong string
	}{
		"over http":                {server.URL + "/sbom/web.json", ""},
		"moved":                    {server.URL + "/sbom/moved.json", ""},
		"a file":                   {filepath.Join(folder, "web.json"), ""},
		"a file by its URL":        {"file://" + filepath.Join(folder, "web.json"), ""},
		"a link in the folder":     {filepath.Join(folder, "near.json"), ""},
		"a key":                    {"consul-kv://oakum/sbom/web", ""},
		"beside the place":         {server.URL + "/secret", "is below no place that documents may come from"},
		"a name that begins alike": {server.URL + "/sbomb/web.json", "is below no place"},
		"climbing":                 {server.URL + "/sbom/../secret", "climbs out of its folder"},
		"climbing in disguise":     {server.URL + "/sbom/%2e%2e/secret", "climbs out of its folder"},
		"another server":           {elsewhere.URL + "/sbom/web.json", "is below no place"},
		"moved to another server":  {server.URL + "/sbom/away.json", "is below no place"},
		"moved up":                 {server.URL + "/sbom/up.json", "is below no place"},
		"moved without an end":     {server.URL + "/sbom/loop.json", "without an end"},
		"nothing there":            {server.URL + "/sbom/none.json", "404"},
		"no document":              {server.URL + "/sbom/no.json", "it is no JSON document"},
		"too large":                {server.URL + "/sbom/large.json", "larger than 64 MiB"},
		"of another image":         {server.URL + "/sbom/other.json", "it describes sha256:" + digest("other")},
		"a password":               {"http://a:b@" + strings.TrimPrefix(server.URL, "http://") + "/sbom/web.json", "want no user"},
		"another scheme":           {"ftp://files.example/web.json", "want http, https, file or consul-kv"},
		"a file elsewhere":         {outside, "is below no place"},
		"a link out of the folder": {filepath.Join(folder, "link.json"), "path escapes"},
		"a folder":                 {folder + "/", "is below no place"},
		"no such file":             {filepath.Join(folder, "none.json"), "no such file"},
		"another key":              {"consul-kv://secret", "is below no place"},
		"no such key":              {"consul-kv://oakum/sbom/none", "consul has no key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := collector.Want{Task: "vm", Digest: "sha256:" + digest("web"), Target: api.Target{Meta: map[string]string{"oakum_inventory": c.named}}}
			got, err := source.Read(t.Context(), w, "")
			if c.wrong != "" {
				must.ErrorContains(t, err, c.wrong)
				return
			}
			must.NoError(t, err)
			must.Len(t, 1, got.Inventory.Packages)
			must.EqOp(t, c.named, got.Inventory.Source)
		})
	}
}

func TestNamed_ReadsAnewWhenTheJobChangesAndOnceADay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	target := api.Target{
		TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}, JobModifyIndex: 7,
		Meta:  map[string]string{"oakum_inventory": "/srv/web.json", "oakum_inventory_log": "/srv/log.json"},
		Tasks: []api.Task{{Name: "vm", Driver: "qemu", Image: "/images/a.qcow2"}, {Name: "log", Driver: "docker", Image: "log:1"}, {Name: "own", Driver: "qemu", Image: "local/a.qcow2"}},
	}
	found := api.TargetInventory{Task: "vm", Image: "/images/a.qcow2", Digest: "sha256:" + digest("a")}
	read := api.InventoryReading{Of: found.Digest, JobModifyIndex: 7, Began: now.Add(-time.Hour), Ended: now.Add(-time.Hour)}
	for name, c := range map[string]struct {
		found api.TargetInventory
		last  func(*api.InventoryReading)
		want  bool
	}{
		"never read":               {found, nil, true},
		"read":                     {found, func(*api.InventoryReading) {}, false},
		"the job has changed":      {found, func(r *api.InventoryReading) { r.JobModifyIndex = 6 }, true},
		"another image":            {found, func(r *api.InventoryReading) { r.Of = "x" }, true},
		"a day ago":                {found, func(r *api.InventoryReading) { r.Ended = now.Add(-25 * time.Hour) }, true},
		"it failed":                {found, func(r *api.InventoryReading) { r.Error = "404" }, true},
		"the leader was killed":    {found, func(r *api.InventoryReading) { r.Ended = time.Time{} }, true},
		"of nothing in particular": {api.TargetInventory{Task: "own", Image: "local/a.qcow2"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := func(string) *api.InventoryReading {
				if c.last == nil {
					return nil
				}
				r := read
				c.last(&r)
				return &r
			}
			_, want := collector.Named{}.Wants(target, c.found, last, now)
			must.Eq(t, c.want, want)
		})
	}
	_, err := collector.Named{}.Read(t.Context(), collector.Want{Target: target, Task: "log"}, "")
	must.ErrorContains(t, err, "/srv/log.json", must.Sprint("a task has its own"))
}

// TestRun_TellsWhyANamedInventoryIsNotThere holds that the image is not read in the place of
// a document that the job names, and that nothing is told when it names none any more.
func TestRun_TellsWhyANamedInventoryIsNotThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "/images/a.qcow2")
		w.targets[0].Meta = map[string]string{"oakum_inventory": "/srv/none.json"}
		w.named = true
		w.lead(time.Hour)
		must.SliceEmpty(t, w.asked)
		must.MapLen(t, 1, w.readings)
		for _, r := range w.readings {
			must.StrContains(t, r.Error, "no place that documents may come from")
		}
		w.targets[0].Meta = nil
		w.lead(time.Hour)
		must.Len(t, 1, w.asked)
		must.MapLen(t, 1, w.readings)
		must.NotNil(t, w.found(w.targets)[0].Record)
	})
}
