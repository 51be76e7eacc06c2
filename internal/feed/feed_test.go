package feed

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

// osv is a document about one Debian source package.
func osv(id, source, below string) string {
	return fmt.Sprintf(`{"schema_version": "1.6.0", "id": %q, "upstream": ["CVE-2026-%s"], "published": "2026-02-01T00:00:00Z",
  "affected": [{"package": {"ecosystem": "Debian:12", "name": %q}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": %q}]}]}]}`,
		id, id[len(id)-4:], source, below)
}

// directory is a feed of a folder that a test writes.
type directory struct {
	*Feed
	t     *testing.T
	path  string
	names *advisory.Names
	wrong error // why nobody knows what is installed
	at    time.Time
}

func newDirectory(t *testing.T, installed ...string) *directory {
	t.Helper()
	d := &directory{t: t, path: t.TempDir(), names: advisory.NewNames(), at: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	d.install(installed...)
	d.Feed = New(Options{
		Dir: filepath.Join(d.path, "osv"), KEV: filepath.Join(d.path, "kev.json"), EPSS: filepath.Join(d.path, "epss.csv"),
		Installed: func() (*advisory.Names, error) { return d.names, d.wrong }, Logger: slog.New(slog.DiscardHandler),
		Ticker: func(interval time.Duration) (<-chan time.Time, func()) {
			k := time.NewTicker(interval)
			return k.C, k.Stop
		},
	})
	must.NoError(t, os.Mkdir(filepath.Join(d.path, "osv"), 0o700))
	d.write("kev.json", `{"vulnerabilities": [{"cveID": "CVE-2026-0001", "dateAdded": "2026-02-02"}]}`)
	d.write("epss.csv", "cve,epss,percentile\nCVE-2026-0001,0.5,0.99\n")
	return d
}

func (d *directory) install(packages ...string) {
	for _, p := range packages {
		d.names.Add(&api.Inventory{Packages: []api.Package{{Ecosystem: "deb", Name: "lib" + p, Source: p}}})
	}
}

// write gives a file a content and another time than any before.
func (d *directory) write(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.path, name)
	must.NoError(d.t, os.WriteFile(path, []byte(text), 0o600))
	d.at = d.at.Add(time.Second)
	must.NoError(d.t, os.Chtimes(path, d.at, d.at))
}

// ids look at the files and return the advisories.
func (d *directory) ids() string {
	d.t.Helper()
	d.look(d.t.Context())
	var out []string
	for _, a := range d.Catalogue().Advisories {
		out = append(out, a.ID)
	}
	return strings.Join(out, " ")
}

func TestLook_KeepsWhatIsAboutInstalledPackages(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, "openssl")
	d.write("osv/a.json", osv("DSA-0001", "openssl", "3.0.16"))
	d.write("osv/b.json", osv("DSA-0002", "bash", "5.3"))
	d.write("osv/notes.txt", "no document")
	must.EqOp(t, "DSA-0001", d.ids())
	c := d.Catalogue()
	must.EqOp(t, 1, c.Others)
	must.SliceEmpty(t, c.Problems)
	must.EqOp(t, "a.json", c.Advisories[0].Source)
	must.EqOp(t, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), c.Advisories[0].Known)
	must.EqOp(t, 64, len(c.Advisories[0].Digest))
	must.MapContainsKey(t, c.Exploited, "CVE-2026-0001")
	must.EqOp(t, 0.5, c.Probable["CVE-2026-0001"].Probability)

	t.Log("what nothing has installed is read when somebody asks for it")
	for name, want := range map[string]int{"DSA-0002": 1, "CVE-2026-0002": 1, "CVE-2026-0009": 0} {
		must.Len(t, want, d.Named(name), must.Sprint(name))
	}

	t.Log("a package is installed, and is gone")
	d.install("bash")
	must.EqOp(t, "DSA-0001 DSA-0002", d.ids())
	d.names = advisory.NewNames()
	d.install("bash")
	must.EqOp(t, "DSA-0002", d.ids())

	t.Log("a document changes, comes and goes")
	d.write("osv/b.json", osv("DSA-0003", "bash", "5.4"))
	d.write("osv/c.json", osv("DSA-0004", "bash", "5.5"))
	must.EqOp(t, "DSA-0003 DSA-0004", d.ids())
	must.NoError(t, os.Remove(filepath.Join(d.path, "osv/b.json")))
	must.EqOp(t, "DSA-0004", d.ids())
	must.SliceEmpty(t, d.Named("DSA-0003"))
	d.names.Add(&api.Inventory{Source: "scratch.json"})
	d.names.Add(&api.Inventory{Source: "old.json", Packages: []api.Package{{Ecosystem: "deb", Name: "libc6"}}})
	must.EqOp(t, "DSA-0004", d.ids())
	must.StrContains(t, d.Catalogue().Problems[0], "2 inventories name no packages, or no source packages")
	d.wrong = api.Errorf(api.CodeInternal, "a piece is broken")
	must.EqOp(t, "DSA-0004", d.ids(), must.Sprint("what was known stays"))
	must.StrContains(t, d.Catalogue().Problems[0], "what is installed")
}

// TestLook_NamesWhatItCannotRead: what was read before stays, so that nobody is taken for safe.
func TestLook_NamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil   func(d *directory)
		problem string
	}{
		"no JSON":        {func(d *directory) { d.write("osv/a.json", `{"id": "DSA-`) }, "osv/a.json: read advisory a.json: it is no OSV document"},
		"another schema": {func(d *directory) { d.write("osv/a.json", `{"id": "DSA-0001", "schema_version": "2.0"}`) }, `osv/a.json: read advisory a.json: it is of OSV schema version "2.0"`},
		"a folder": {func(d *directory) {
			d.replace("osv/a.json", "")
			must.NoError(d.t, os.Mkdir(filepath.Join(d.path, "osv/a.json"), 0o700))
		}, "osv/a.json: it is no regular file"},
		"a link to none":  {func(d *directory) { d.replace("osv/a.json", "gone.json") }, "osv/a.json: no such file"},
		"no directory":    {func(d *directory) { must.NoError(d.t, os.RemoveAll(filepath.Join(d.path, "osv"))) }, "/osv: no such file"},
		"broken KEV":      {func(d *directory) { d.write("kev.json", `{}`) }, "kev.json: read catalogue"},
		"no KEV":          {func(d *directory) { must.NoError(d.t, os.Remove(filepath.Join(d.path, "kev.json"))) }, "kev.json: no such file"},
		"broken EPSS":     {func(d *directory) { d.write("epss.csv", "nothing") }, "epss.csv: read probabilities"},
		"larger than all": {func(d *directory) { d.write("osv/a.json", strings.Repeat(" ", advisory.DocumentMax+1)) }, "osv/a.json: it is larger than 32 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDirectory(t, "openssl")
			d.write("osv/a.json", osv("DSA-0001", "openssl", "3.0.16"))
			must.EqOp(t, "DSA-0001", d.ids())
			c.spoil(d)
			for range 2 {
				must.EqOp(t, "DSA-0001", d.ids())
				have := d.Catalogue()
				must.Len(t, 1, have.Problems)
				must.StrContains(t, have.Problems[0], c.problem)
				must.MapContainsKey(t, have.Exploited, "CVE-2026-0001")
				must.MapContainsKey(t, have.Probable, "CVE-2026-0001")
			}
		})
	}
}

// replace takes a file away, and leaves a link in its place where to is not empty.
func (d *directory) replace(name, to string) {
	d.t.Helper()
	path := filepath.Join(d.path, name)
	must.NoError(d.t, os.Remove(path))
	if to != "" {
		must.NoError(d.t, os.Symlink(to, path))
	}
}

// TestLook_TellsABrokenDocumentThatItNeverRead: it has no former content that could stay.
func TestLook_TellsABrokenDocumentThatItNeverRead(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, "openssl")
	for i := range problemsMax + 2 {
		d.write(fmt.Sprintf("osv/%03d.json", i), "{")
	}
	must.EqOp(t, "", d.ids())
	have := d.Catalogue().Problems
	must.Len(t, problemsMax+1, have)
	must.StrContains(t, have[0], "osv/000.json: read advisory")
	must.StrContains(t, have[problemsMax], "osv: 2 further files can't be read")
	d.write("osv/000.json", osv("DSA-0001", "openssl", "3.0.16"))
	must.EqOp(t, "DSA-0001", d.ids(), must.Sprint("the cron job writes it anew"))
}

func TestRun_LooksAgain(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, "openssl")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		synctest.Wait()
		must.SliceEmpty(t, d.Catalogue().Advisories)
		d.write("osv/a.json", osv("DSA-0001", "openssl", "3.0.16"))
		time.Sleep(every + time.Second)
		synctest.Wait()
		must.Len(t, 1, d.Catalogue().Advisories)
		cancel(context.Canceled)
		must.ErrorIs(t, <-done, context.Canceled)
	})
}

// TestLook_KeepsAllWhileNothingIsKnownToBeInstalled: any of them may be about what runs.
func TestLook_KeepsAllWhileNothingIsKnownToBeInstalled(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	d.write("osv/a.json", osv("DSA-0001", "openssl", "3.0.16"))
	d.write("osv/b.json", osv("DSA-0002", "bash", "5.3"))
	must.EqOp(t, "DSA-0001 DSA-0002", d.ids())
	must.EqOp(t, 0, d.Catalogue().Others)
	d.install("bash")
	must.EqOp(t, "DSA-0002", d.ids())
	must.EqOp(t, 1, d.Catalogue().Others)
}
