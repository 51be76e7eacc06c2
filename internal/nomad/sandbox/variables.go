package sandbox

import (
	"maps"
	"regexp"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

const (
	// nestingMax is how deep the variables of a job may name each other.
	nestingMax = 4
	// expandedMax is how long an argument may become, in bytes. Linux takes no
	// longer one.
	expandedMax = 128 << 10
)

// Variables that Nomad's client resolves. No job chooses what they stand for, and
// the values of plainVariables have no comma, so that none of them changes the
// meaning of the argument around it.
const (
	plainVariables = `NOMAD_(HOST_)?(PORT|IP|ADDR)_[A-Za-z0-9_]+|NOMAD_(SHORT_)?ALLOC_ID|NOMAD_ALLOC_INDEX|NOMAD_(CPU|MEMORY|MEMORY_MAX)_LIMIT`
	pathVariables  = plainVariables + `|NOMAD_ALLOC_DIR|NOMAD_TASK_DIR|(meta|attr|node)\.[A-Za-z0-9_.-]+`
)

// variables are the variables of a task that its job itself sets: metadata and
// environment, by name. A twin has neither, so that nothing secret goes along; what
// its arguments need of them is written out. That is done before the arguments are
// read, since a value may hold a comma and more properties after it.
type variables map[string]string

// variablesOf returns the variables that a job sets for a task.
func variablesOf(job *nomadapi.Job, group *nomadapi.TaskGroup, task *nomadapi.Task) variables {
	out := variables{}
	for _, meta := range []map[string]string{job.Meta, group.Meta, task.Meta} { // the innermost wins
		for k, v := range meta {
			name := "NOMAD_META_" + strings.Map(inVariable, k)
			out[name], out[strings.ToUpper(name)] = v, v
		}
	}
	maps.Copy(out, task.Env)
	return out
}

// inVariable replaces what Nomad replaces in the names of variables.
func inVariable(r rune) rune {
	if r == '_' || r == '.' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
		return r
	}
	return '_'
}

// variable matches a variable in a text, as Nomad writes it.
func variable() *regexp.Regexp { return regexp.MustCompile(`\$\{([^}]*)\}`) }

// writeOut puts the values of the job's variables in their places. It stops where
// the text becomes longer than Linux takes.
func (v variables) writeOut(text string) string {
	for range nestingMax {
		found := false
		text = variable().ReplaceAllStringFunc(text, func(m string) string {
			value, ok := v[m[2:len(m)-1]]
			if !ok {
				return m
			}
			found = true
			return value
		})
		if !found || len(text) > expandedMax {
			break
		}
	}
	return text
}

// expand writes out the variables of the job in the argument's value. It refuses
// every other variable that the pattern does not match.
func (v variables) expand(a argument, allowed string) (argument, error) {
	if a.value = v.writeOut(a.value); len(a.value) > expandedMax {
		return a, a.refuse("its variables make it longer than %d bytes", expandedMax)
	}
	for _, m := range variable().FindAllStringSubmatch(a.value, -1) {
		if !matches(allowed, m[1]) {
			return a, a.refuse("variable ${%s} is not allowed in a twin", m[1])
		}
	}
	if strings.Contains(variable().ReplaceAllLiteralString(a.value, ""), "${") {
		return a, a.refuse("a variable has no end")
	}
	return a, nil
}
