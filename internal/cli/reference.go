package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/internal/cli/command"
)

// Reference writes the help of every command, by name, as a page in Markdown. A family
// stands before its commands.
func Reference(w io.Writer) {
	e := command.NewEnv(command.Options{Getenv: func(string) string { return "" }, Stdout: io.Discard, Stderr: io.Discard, Stdin: strings.NewReader("")})
	texts, synopses := map[string]string{}, map[string]string{}
	for _, f := range families() {
		texts[f.Name], synopses[f.Name] = family{f, e}.Help(), f.Synopsis
	}
	for _, build := range commands() {
		c := build(e)
		texts[c.Name], synopses[c.Name] = c.Help(), c.Synopsis
	}
	names := make([]string, 0, len(texts))
	for name := range texts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "\n## oakum %s\n%s.\n\n```text\n%s\n```\n", name, synopses[name], strings.TrimSpace(texts[name]))
	}
}
