package sandbox

import (
	"maps"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
)

// nestingMax is how deep the variables of a job may name each other.
const nestingMax = 4

// variables are the variables of a task that its job itself sets: metadata and
// environment, by name. A twin has neither, so that nothing secret goes along; what
// its arguments need of them is written out.
type variables map[string]string

// variablesOf returns the variables that a job sets for a task.
func variablesOf(job *nomadapi.Job, group *nomadapi.TaskGroup, task *nomadapi.Task) variables {
	out := variables{}
	for _, meta := range []map[string]string{job.Meta, group.Meta, task.Meta} { // the innermost wins
		for k, v := range meta {
			name := "NOMAD_META_" + strings.Map(qemu.InVariable, k)
			out[name], out[strings.ToUpper(name)] = v, v
		}
	}
	maps.Copy(out, task.Env)
	return out
}

// writeOut puts the values of the job's variables in their places. It stops where
// the text becomes longer than Linux takes.
func (v variables) writeOut(text string) string {
	for range nestingMax {
		found := false
		text = qemu.Variable().ReplaceAllStringFunc(text, func(m string) string {
			value, ok := v[m[2:len(m)-1]]
			if !ok {
				return m
			}
			found = true
			return value
		})
		if !found || len(text) > qemu.ExpandedMax {
			break
		}
	}
	return text
}

// taken returns the names of some variables that a task's configuration takes, sorted. A
// variable may be taken by way of another one.
func (v variables) taken(names map[string]string, config map[string]any) []string {
	found := map[string]bool{}
	var look func(value any, depth int)
	look = func(value any, depth int) {
		switch value := value.(type) {
		case []any:
			for _, each := range value {
				look(each, depth)
			}
		case string:
			for _, m := range qemu.Variable().FindAllStringSubmatch(value, -1) {
				if _, ok := names[m[1]]; ok {
					found[m[1]] = true
				}
				if next, ok := v[m[1]]; ok && depth < nestingMax {
					look(next, depth+1)
				}
			}
		}
	}
	for _, value := range config {
		look(value, 0)
	}
	return slices.Sorted(maps.Keys(found))
}

// declaredFormat is the format that the job declares of a machine's image, or "".
func (v variables) declaredFormat() string { return v["NOMAD_META_"+qemu.FormatMeta] }
