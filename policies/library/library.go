// Package library holds the policy files that ship with Oakum, each with the examples that
// show what it decides.
package library

import (
	"embed"
	"strings"
)

// Default is the reference behaviour: twins for virtual machines, phases for
// what others depend on, blue/green for the rest, and a rollback when in
// trouble. It applies to every target and is the least specific policy.
//
//go:embed default.hcl
var Default string

// Reference is the name of the file that is in force in every cluster. The others are
// there to be copied.
const Reference = "default"

//go:embed *.hcl
var files embed.FS

// Entry is a policy file that ships.
type Entry struct {
	Name  string // of the file, without .hcl
	Text  string
	Tests string // what its file NAME.policytest.hcl holds
}

// About is the first sentence of what the file says of itself.
func (e Entry) About() string {
	var words []string
	for line := range strings.Lines(e.Text) {
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		words = append(words, strings.Fields(comment)...)
	}
	about, _, _ := strings.Cut(strings.Join(words, " "), ". ")
	return strings.TrimSuffix(about, ".")
}

// Entries are the files that ship, by name, the reference first.
func Entries() []Entry {
	names := []string{Reference, "business-hours", "emergency-cve", "stateful", "zero-downtime-web"}
	out := make([]Entry, len(names))
	for i, name := range names {
		out[i] = Entry{Name: name, Text: read(name + ".hcl"), Tests: read(name + ".policytest.hcl")}
	}
	return out
}

// read is the text of a file that was built in. It is "" for no other.
func read(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(text)
}
