// Package contract holds what Oakum relies on in Nomad, Consul and Prometheus.
// The same checks are made on the real ones (build tag e2e) and on the model of
// e2e/fleet. Each check writes down what it saw, in words that are the same on
// every run; testdata has what the real ones did. Where the model differs, the
// model is wrong.
//
// What the real ones do is recorded anew by
//
//	go test -tags e2e ./e2e/contract -update
package contract

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"
)

var update = flag.Bool("update", false, "write what is seen to testdata; on the real stack only")

// world is where the checks are made: addresses, and what no API can do.
type world struct {
	nomad, nomadToken   string
	consul, consulToken string
	prometheus          string
	nodes               [2]string                   // names of the two Nomad clients; jobs run on the first unless they say otherwise
	lose                func(context.Context) error // makes the second client fall silent
	regain              func(context.Context) error // brings it back
	healthPort          int                         // where a check of a service asks: /health answers 200 and /sick 500
	real                bool                        // its answers may be recorded
	wide                int                         // how many checks are made at once: they wait most of the time
	patience            time.Duration               // how long a check waits for what must come about
}

// check is one row of the table.
type check struct {
	area, name string
	run        func(*script)
}

func (c check) file() string {
	return filepath.Join("testdata", c.area, strings.ReplaceAll(c.name, " ", "_")+".txt")
}

// checks is the table: everything that is compared but for system jobs.
func checks() []check {
	return slices.Concat(jobChecks(), stageChecks(), deploymentChecks(), readChecks(), placementChecks(), nodeChecks(), consulChecks(), prometheusChecks())
}

// TestTable holds that every check has been recorded, and nothing else is.
func TestTable(t *testing.T) {
	want := map[string]bool{}
	for _, c := range slices.Concat(checks(), systemChecks()) {
		must.MapNotContainsKey(t, want, c.file(), must.Sprint("two checks of one name"))
		want[c.file()] = true
	}
	files, err := filepath.Glob("testdata/*/*.txt")
	must.NoError(t, err)
	have := map[string]bool{}
	for _, f := range files {
		have[f] = true
	}
	if !*update {
		must.Eq(t, want, have)
	}
}

// compare makes checks in a world and prints the table.
func compare(t *testing.T, w world, checks []check) {
	var mu sync.Mutex
	facts := map[string]int{}
	t.Cleanup(func() { t.Log("\n" + table(facts, checks)) })
	var group sync.WaitGroup
	slots := make(chan struct{}, w.wide)
	for _, c := range checks {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(c.area+"/"+c.name, func(t *testing.T) {
				n := c.compare(t, w)
				mu.Lock()
				defer mu.Unlock()
				facts[c.file()] = n
			})
		})
	}
	group.Wait()
}

// compare makes one check and says how many lines it wrote.
func (c check) compare(t *testing.T, w world) int {
	s := newScript(t, w, c)
	c.run(s)
	seen := s.said.Bytes()
	if *update && w.real {
		must.NoError(t, os.MkdirAll(filepath.Dir(c.file()), 0o755))
		must.NoError(t, os.WriteFile(c.file(), seen, 0o644))
	}
	recorded, err := os.ReadFile(c.file())
	must.NoError(t, err, must.Sprint("it was never recorded"))
	if diff := cmp.Diff(strings.Split(string(recorded), "\n"), strings.Split(string(seen), "\n")); diff != "" {
		t.Errorf("the real ones did what is marked -, here is what is marked +:\n%s", diff)
	}
	return bytes.Count(seen, []byte("\n"))
}

// table says what was compared, and by how many lines.
func table(facts map[string]int, checks []check) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	total := 0
	fmt.Fprintln(w, "area\tchecked\tlines alike")
	for _, c := range checks {
		total += facts[c.file()]
		fmt.Fprintf(w, "%s\t%s\t%d\n", c.area, c.name, facts[c.file()])
	}
	fmt.Fprintf(w, "\t%d checks\t%d\n", len(checks), total)
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
