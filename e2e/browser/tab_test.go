//go:build e2e

package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/wait"
)

var shots = flag.String("shots", "", "folder for pictures of every page, light and dark, wide and narrow")

//go:embed testdata/axe.min.js
var axe string

// patience is how long a page may take: a machine may be busy with other tests.
const patience = 3 * time.Minute

// chrome starts one browser for a test.
func chrome(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	must.NoError(t, err, must.Sprint("install Debian's chromium"))
	folder, err := os.MkdirTemp("", "oakum-chromium-") //nolint:usetesting // t.TempDir fails when a file comes while it removes
	must.NoError(t, err)
	// Parts of an ended browser write for a moment longer.
	t.Cleanup(func() {
		must.NoError(t, wait.Until(context.Background(), patience, func() bool { return os.RemoveAll(folder) == nil }))
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.WSURLReadTimeout(patience), chromedp.Flag("disable-dev-shm-usage", true), chromedp.UserDataDir(folder))
	// The tab closes the browser, which the end of the test's context would kill.
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	return ctx
}

// tab is one tab of the browser. It notes what a page must not do.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	rollout string // path of the page of the rollout that is steered

	mu     sync.Mutex
	faults []string
}

func open(browser context.Context, t *testing.T, base string) *tab {
	t.Helper()
	ctx, _ := chromedp.NewContext(browser)
	t.Cleanup(func() { must.NoError(t, chromedp.Cancel(ctx)) })
	b := &tab{t: t, ctx: ctx, base: base}
	chromedp.ListenTarget(ctx, b.listen)
	b.run(log.Enable(), runtime.Enable(), network.Enable())
	t.Cleanup(func() { b.clean() })
	return b
}

// listen notes violations of the content security policy, faults of scripts, and requests
// to anybody but the server.
func (b *tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Source == log.SourceSecurity || strings.Contains(ev.Entry.Text, "Content Security Policy") {
			b.faults = append(b.faults, "log: "+ev.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "script: "+ev.ExceptionDetails.Error())
	case *network.EventRequestWillBeSent:
		if u := ev.Request.URL; !strings.HasPrefix(u, b.base+"/ui/") && !strings.HasPrefix(u, "data:") {
			b.faults = append(b.faults, "request to "+u)
		}
	}
}

// clean ends the test when a page has done what it must not.
func (b *tab) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	must.SliceEmpty(b.t, b.faults)
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if chromedp.FromContext(b.ctx).Target == nil { // the first run starts the browser, which must outlive it
		ctx = b.ctx
	}
	must.NoError(b.t, chromedp.Run(ctx, actions...))
}

// show goes to a page and waits until it is there.
func (b *tab) show(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.base+path), chromedp.WaitVisible("#main"))
}

// says waits until the page has a text in an element.
func (b *tab) says(selector, text string) {
	b.t.Helper()
	want, err := json.Marshal(text)
	must.NoError(b.t, err)
	where, err := json.Marshal(selector)
	must.NoError(b.t, err)
	b.until(fmt.Sprintf("[...document.querySelectorAll(%s)].some((e) => e.textContent.replaceAll(/\\s+/g, ' ').includes(%s))", where, want))
}

// until waits until an expression is true in the page. It may go to another one meanwhile.
func (b *tab) until(expression string) {
	b.t.Helper()
	var last error
	err := wait.Until(b.ctx, patience, func() (so bool) {
		last = chromedp.Run(b.ctx, chromedp.Evaluate("Boolean("+expression+")", &so))
		return last == nil && so
	})
	if err != nil {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Text("body", &text, chromedp.ByQuery)) // to tell what is there instead
		b.t.Fatalf("%s: %v (%v); the page says:\n%s", expression, err, last, text)
	}
}

// confirm presses the button of a page that asks before something changes, and ends at the
// page where the outcome is. A busy machine may lose its leader just then, and the server
// can't say whether it was done: as a person would, it looks, and presses again.
func (b *tab) confirm(reason, text, button, outcome string) {
	b.t.Helper()
	var here string
	b.run(chromedp.WaitVisible(button), chromedp.Evaluate("location.pathname", &here))
	for range 10 {
		if reason != "" {
			b.run(chromedp.SendKeys(reason, text))
		}
		b.run(chromedp.Click(button))
		var why string
		b.until(fmt.Sprintf("location.pathname !== %q || document.querySelector('.error') !== null", here))
		b.run(chromedp.WaitVisible("#main"), chromedp.Evaluate(
			fmt.Sprintf("location.pathname === %q ? document.querySelector('.error').textContent : ''", here), &why))
		if why == "" {
			return
		}
		b.t.Logf("%s was answered by: %s", button, strings.TrimSpace(why))
		must.True(b.t, strings.Contains(why, "leader"), must.Sprintf("%s: %s", here, why))
		must.NoError(b.t, wait.Until(b.ctx, patience, func() (led bool) {
			b.show(here)
			b.run(chromedp.Evaluate("!document.body.textContent.includes('Nobody leads now')", &led))
			return led
		}))
		var asks bool
		b.run(chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q) !== null", button), &asks))
		if !asks { // it was done all the same
			b.show(outcome)
			return
		}
	}
	b.t.Fatalf("%s: pressed ten times", here)
}

// finding is what axe-core has against a page.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// accessible holds that axe-core finds nothing serious in the page.
func (b *tab) accessible(what string) {
	b.t.Helper()
	var found []finding
	b.run(chromedp.Evaluate(axe+"; undefined", nil), chromedp.Evaluate(
		`axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then((r) => r.violations.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map((n) => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`,
		&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	for _, f := range found {
		if f.Impact == "serious" || f.Impact == "critical" {
			b.t.Errorf("%s: %s (%s): %+v", what, f.Help, f.ID, f.Nodes)
		} else {
			b.t.Logf("%s: %s, %s: %+v", what, f.Impact, f.Help, f.Nodes)
		}
	}
}

// looks tries the page in both colour schemes and two widths: axe-core finds nothing
// serious, and nothing is wider than the window.
func (b *tab) looks(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			what := fmt.Sprintf("%s-%s-%d", name, scheme, width)
			var wide float64
			b.run(chromedp.EmulateViewport(width, 900),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
				chromedp.Evaluate("document.documentElement.scrollWidth", &wide))
			if int64(wide) > width {
				b.t.Errorf("%s: the page is %v px wide", what, wide)
			}
			b.accessible(what)
			if *shots != "" {
				var picture []byte
				b.run(chromedp.CaptureScreenshot(&picture))
				must.NoError(b.t, os.MkdirAll(*shots, 0o755))
				must.NoError(b.t, os.WriteFile(filepath.Join(*shots, what+".png"), picture, 0o600))
			}
		}
	}
	b.run(chromedp.EmulateViewport(1280, 900))
}
