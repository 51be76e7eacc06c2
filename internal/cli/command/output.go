package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"text/template"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"

	"github.com/oakumhq/oakum/internal/cli/view"
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

// columns is how many characters a line of the terminal has, or 100 where there is none.
func columns(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}

func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// harmless writes to a terminal without what would move its cursor, change its settings
// or turn the text around: a note, a guest's console and an error are others' texts. Each
// such character becomes U+FFFD.
func harmless(to io.Writer) io.Writer {
	return &oneByOne{to: transform.NewWriter(to, runes.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || (!unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r)) {
			return r
		}
		return unicode.ReplacementChar
	}))}
}

// oneByOne is a writer that several goroutines may use.
type oneByOne struct {
	mu sync.Mutex
	to io.Writer
}

// Write writes all of p.
func (w *oneByOne) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// ShowExamples prints how written examples went. It is the answer no when one failed.
func (e *Env) ShowExamples(out *Output, results any, examples []view.Example, all bool) error {
	if err := e.Show(out, results, func(w io.Writer) { view.Examples(w, examples, all) }); err != nil {
		return err
	}
	if failed := view.Failed(examples); failed > 0 {
		return No("%d of %s failed.", failed, view.Count(len(examples), "example"))
	}
	return nil
}
