package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/template"

	"golang.org/x/term"
)

// output holds -json and -t.
type output struct {
	json     bool
	template string
}

// machine reports whether the answer is meant for a program.
func (o *output) machine() bool { return o.json || o.template != "" }

// show prints the answer as the flags ask, or by human.
func (e *env) show(o *output, answer any, human func(w io.Writer)) error {
	switch {
	case o.json && o.template != "":
		return usage("-json and -t: give one of them")
	case o.json:
		text, err := json.MarshalIndent(answer, "", "  ")
		if err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		e.printf("%s\n", text)
	case o.template != "":
		tmpl, err := template.New("-t").Option("missingkey=error").Parse(o.template)
		if err != nil {
			return usage("-t: %v", err)
		}
		if err := tmpl.Execute(e.Stdout, answer); err != nil {
			return usage("-t: %v", err)
		}
		e.printf("\n")
	default:
		human(e.Stdout)
	}
	return nil
}

// width is how many characters a line of the terminal has, or 100 where there is none.
func (e *env) width() int {
	if f, ok := e.Stdout.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}
