package server

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/config"
)

// TestServer_ReadsItsDirectoryOfAdvisories: the files of the configuration are in the answers, and
// so is which of them can't be read.
func TestServer_ReadsItsDirectoryOfAdvisories(t *testing.T) {
	nomad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Nomad-Index", "1")
		_, _ = w.Write([]byte("[]"))
	}))
	t.Cleanup(nomad.Close)
	folder := t.TempDir()
	for name, text := range map[string]string{
		"osv/a.json": `{"id": "DSA-1", "upstream": ["CVE-2026-0001"], "affected": [{"package": {"ecosystem": "Debian:12", "name": "bash"}, "versions": ["5.2"]}]}`,
		"osv/b.json": `{`,
		"kev.json":   `{"vulnerabilities": [{"cveID": "CVE-2026-0001", "dateAdded": "2026-02-02"}]}`,
	} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	s := dev(t, func(c *config.Config) {
		c.Nomad.Address = nomad.URL
		c.Advisories = config.Advisories{Dir: filepath.Join(folder, "osv"), KEV: filepath.Join(folder, "kev.json")}
	})
	var report api.Compliance
	wait.For(t, "the first look at the files", func() bool {
		var err error
		report, err = s.service.Compliance(t.Context(), "CVE-2026-0001")
		return err == nil && len(report.Problems) > 0
	})
	must.Len(t, 1, report.Advisories)
	must.EqOp(t, "DSA-1", report.Advisories[0].ID)
	must.EqOp(t, "a.json", report.Advisories[0].Source)
	must.EqOp(t, "2026-02-02", report.Vulnerabilities[0].Exploited.Added)
	must.Len(t, 1, report.Problems)
	must.StrContains(t, report.Problems[0], "osv/b.json: read advisory b.json: it is no OSV document")
}
