package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// TestReferenceNamesEveryArgument walks the shape of a configuration file: the
// page that describes it, or one that it leads to, must name what may be set.
func TestReferenceNamesEveryArgument(t *testing.T) {
	var pages strings.Builder
	for _, page := range []string{"agent", "cluster", "tls", "graph", "notices"} {
		text, err := os.ReadFile("../../docs/reference/" + page + ".md")
		must.NoError(t, err)
		pages.Write(text)
	}
	var walk func(block string, shape reflect.Type)
	walk = func(block string, shape reflect.Type) {
		for field := range shape.Fields() {
			name, kind, _ := strings.Cut(field.Tag.Get("hcl"), ",")
			switch {
			case name == "" || kind == "label":
				continue
			case kind == "block":
				inner := field.Type
				for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
					inner = inner.Elem()
				}
				walk(block+name+".", inner)
			}
			quoted := strings.Contains(pages.String(), "`"+name)
			written := strings.Contains(pages.String(), name+" ") // in an example
			must.True(t, quoted || written, must.Sprintf("no page of docs/reference names %s%s", block, name))
		}
	}
	walk("", reflect.TypeFor[fileBlock]())
}

// TestReference_TellsTheDefaultsThatHold compares the page with the configuration of
// a file that says nothing.
func TestReference_TellsTheDefaultsThatHold(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/agent.md")
	must.NoError(t, err)
	d := defaults()
	for argument, want := range map[string]string{
		"`mapper`, `profiler`": inWords(d.Intervals.Mapper),
		"`checkpoint`":         inWords(d.Intervals.Checkpoint),
		"`orchestrator`":       inWords(d.Intervals.Orchestrator),
		"`retention`":          inWords(d.Profiler.Retention),
		"`rate`":               fmt.Sprintf("%g a second", d.Simulator.Rate),
		"`warmup`":             inWords(d.Simulator.Warmup),
		"`boot_timeout`":       inWords(d.Simulator.BootTimeout),
		"`timeout`":            inWords(d.Simulator.Timeout),
		"`pairs`":              fmt.Sprint(d.Simulator.Pairs),
		"`pairs_per_node`":     fmt.Sprint(d.Simulator.PairsPerNode),
	} {
		must.StrContains(t, string(page), "| "+argument+" | "+want)
	}
	must.Eq(t, d.Intervals.Mapper, d.Intervals.Profiler, must.Sprint("the page has one row for both"))
}

// inWords is a duration as the pages write it.
func inWords(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d%time.Minute == 0:
		return fmt.Sprintf("%d m", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
