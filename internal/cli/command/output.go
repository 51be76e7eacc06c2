package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/template"

	"golang.org/x/term"
)

// Output holds -json and -t.
type Output struct {
	JSON     bool
	Template string
}

// Machine reports whether the answer is meant for a program.
func (o *Output) Machine() bool { return o.JSON || o.Template != "" }

// Show prints the answer as the flags ask, or by human.
func (e *Env) Show(o *Output, answer any, human func(w io.Writer)) error {
	switch {
	case o.JSON && o.Template != "":
		return Usage("-json and -t: give one of them")
	case o.JSON:
		text, err := json.MarshalIndent(answer, "", "  ")
		if err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		e.Printf("%s\n", text)
	case o.Template != "":
		tmpl, err := template.New("-t").Option("missingkey=error").Parse(o.Template)
		if err != nil {
			return Usage("-t: %v", err)
		}
		if err := tmpl.Execute(e.Stdout, answer); err != nil {
			return Usage("-t: %v", err)
		}
		e.Printf("\n")
	default:
		human(e.Stdout)
	}
	return nil
}

// Width is how many characters a line of the terminal has, or 100 where there is none.
func (e *Env) Width() int {
	if f, ok := e.Stdout.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}
