package qemu

import (
	"regexp"
	"strings"
)

// ExpandedMax is how long an argument may become, in bytes. Linux takes no longer one.
const ExpandedMax = 128 << 10

// Variables that Nomad's client resolves. No job chooses what they stand for, and
// the values of plainVariables have no comma, so that none of them changes the
// meaning of the argument around it.
const (
	plainVariables = `NOMAD_(HOST_)?(PORT|IP|ADDR)_[A-Za-z0-9_]+|NOMAD_(SHORT_)?ALLOC_ID|NOMAD_ALLOC_INDEX|NOMAD_(CPU|MEMORY|MEMORY_MAX)_LIMIT`
	pathVariables  = plainVariables + `|NOMAD_ALLOC_DIR|NOMAD_TASK_DIR|(meta|attr|node)\.[A-Za-z0-9_.-]+`
)

// InVariable replaces what Nomad replaces in the names of variables.
func InVariable(r rune) rune {
	if r == '_' || r == '.' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
		return r
	}
	return '_'
}

// Variable matches a variable in a text, as Nomad writes it.
func Variable() *regexp.Regexp { return regexp.MustCompile(`\$\{([^}]*)\}`) }

// expand writes out the variables of the job in the argument's value. That is done before
// the argument is read, since a value may hold a comma and more properties after it. It
// refuses every other variable that the pattern does not match.
func (t Task) expand(a argument, allowed string) (argument, error) {
	if a.value = t.WriteOut(a.value); len(a.value) > ExpandedMax {
		return a, a.refuse("its variables make it longer than %d bytes", ExpandedMax)
	}
	for _, m := range Variable().FindAllStringSubmatch(a.value, -1) {
		if !matches(allowed, m[1]) {
			return a, a.refuse("variable ${%s} is not allowed in a twin", m[1])
		}
	}
	if strings.Contains(Variable().ReplaceAllLiteralString(a.value, ""), "${") {
		return a, a.refuse("a variable has no end")
	}
	return a, nil
}
