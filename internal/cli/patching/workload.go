package patching

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/internal/workload/proxy"
)

// sampleDefault is how many distinct requests a recording keeps. A simulation sends some
// hundred requests.
const sampleDefault = 1000

// recordFlags are what the command line says.
type recordFlags struct {
	out, answers, listen, to string
	requests                 int
	options                  workload.TallyOptions
}

func workloadRecord(e *command.Env) *command.Command {
	c := command.New("workload record", command.Opt("FILE"), "Record what a target is asked", `
Makes a workload out of what production was asked: from an access log (common or
combined, Envoy's text, JSON of Envoy, Caddy or Traefik), from a HAR file, or, with
-listen and -to, from a proxy that forwards to the target until it is interrupted.
Without FILE, standard input is read.

A sample of the distinct requests is kept, with their mix. Headers that don't say
what is asked for are not kept, and credentials in queries, forms and JSON are
replaced. Look at the file before you commit it: a path may have personal data.

    $ oakum workload record -out=web.ndjson access.log
    $ oakum workload record -out=web.ndjson -listen=127.0.0.1:8080 -to=http://10.0.0.5

Name the file in a policy, as workload = file("web.ndjson").

With -answers the proxy also records what the service answers. A stub gives these
answers in a twin of whoever calls the service: stub "pricing" { recorded = file(...) }.

    $ oakum workload record -answers=pricing.ndjson -listen=:8080 -to=http://10.0.0.9`)
	f := &recordFlags{}
	c.Flags.StringVar(&f.out, "out", "", "The `file` to write. Default: standard output, and nothing with -answers.")
	c.Flags.StringVar(&f.answers, "answers", "", "The `file` to write recorded answers to. Only a proxy records them.")
	c.Flags.IntVar(&f.requests, "requests", sampleDefault, "How `many` distinct requests are kept. Default: 1000.")
	c.Flags.Var((*command.List)(&f.options.Hosts), "host", "Take only requests to this `host`. May be given several times.")
	c.Flags.Var((*command.List)(&f.options.Keep), "keep-header", "Keep this `header`, though it may be a credential. May be given several times.")
	c.Flags.BoolVar(&f.options.Anonymise, "anonymise", false, "Replace the values in queries by numbers.")
	c.Flags.StringVar(&f.listen, "listen", "", "Record as a proxy at this `address`, such as 127.0.0.1:8080.")
	c.Flags.StringVar(&f.to, "to", "", "The `URL` that the proxy forwards to, such as http://10.0.0.5:80.")
	c.Run = func(ctx context.Context, args []string) error { return record(ctx, e, f, args) }
	return c
}

func record(ctx context.Context, e *command.Env, f *recordFlags, args []string) error {
	switch {
	case f.requests < 1 || f.requests > workload.RequestsMax:
		return command.Usage("-requests: want a number from 1 to %d", workload.RequestsMax)
	case (f.listen == "") != (f.to == ""):
		return command.Usage("-listen and -to: a proxy needs both of them")
	case f.answers != "" && f.listen == "":
		return command.Usage("-answers: only a proxy records answers (-listen and -to)")
	case f.listen != "" && len(args) > 0:
		return command.Usage("-listen: a proxy reads no file, not %q", args[0])
	}
	read := func(t *workload.Tally) error { return readRecording(ctx, e, t, args) }
	answers := workload.NewAnswerTally()
	f.options.Source = "access log"
	if f.listen != "" {
		f.options.Source, f.options.AnyHost = "proxy", true
		read = func(t *workload.Tally) error { return forward(ctx, e, t, answers, f) }
	}
	if f.out != "" && f.answers != "" && input.SameFile(f.out, f.answers) {
		return command.Usage("-out and -answers: %s and %s are the same file", f.out, f.answers)
	}
	for _, file := range [][2]string{{"-out", f.out}, {"-answers", f.answers}} {
		if file[1] == "" {
			continue
		}
		// A recording takes hours, and one that can't be written is lost.
		if err := input.Writable(file[0], filepath.Dir(file[1])); err != nil {
			return err
		}
	}
	tally, err := workload.NewTally(f.options)
	if err != nil {
		return err
	}
	if err := read(tally); err != nil {
		return err
	}
	if f.answers != "" {
		if err := writeAnswers(e, answers, f); err != nil || f.out == "" {
			return err
		}
	}
	w, notes, err := tally.Workload(f.requests)
	if err != nil {
		return err
	}
	file := w.Encode()
	if f.out == "" {
		if _, err := e.Stdout.Write(file); err != nil {
			return fmt.Errorf("write workload: %w", err)
		}
	} else if err := input.Replace(f.out, func(to io.Writer) error { _, err := to.Write(file); return err }); err != nil {
		return err
	}
	view.Recording(e.Stderr, workload.Summarise(w, file), notes)
	return nil
}

// writeAnswers writes what a proxy has recorded of a service's answers.
func writeAnswers(e *command.Env, tally *workload.AnswerTally, f *recordFlags) error {
	answers, notes, err := tally.Answers(f.requests)
	if err != nil {
		return err
	}
	file := answers.Encode("proxy")
	if err := input.Replace(f.answers, func(to io.Writer) error { _, err := to.Write(file); return err }); err != nil {
		return err
	}
	view.Answers(e.Stderr, len(answers), notes)
	return nil
}

// readRecording reads a file or standard input, and says what in it is no request.
func readRecording(ctx context.Context, e *command.Env, t *workload.Tally, args []string) error {
	path := "-"
	if len(args) == 1 {
		path = args[0]
	}
	// After an interrupt nothing reads the tally any more.
	others, err := input.UnlessInterrupted(ctx, func() (string, error) { return input.Recording(ctx, t, path, e.Stdin) })
	if others != "" {
		e.Warnf("%s\n", others)
	}
	return err
}

// forward runs the proxy until ctx ends.
func forward(ctx context.Context, e *command.Env, t *workload.Tally, answers *workload.AnswerTally, f *recordFlags) error {
	target, err := url.Parse(f.to)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" || (target.Path != "" && target.Path != "/") || target.RawQuery != "" {
		return command.Usage("-to %q: want scheme and host, such as http://10.0.0.5:80", f.to)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return api.Errorf(api.CodeInvalid, "listen: %v", err)
	}
	p := proxy.New(target, t, time.Now)
	if f.answers != "" {
		p.RecordAnswers(answers)
	}
	defer p.End()
	e.Warnf("Forwarding from http://%s to %s. Interrupt to end the recording.\n", listener.Addr(), f.to)
	return p.Serve(ctx, listener)
}

func workloadShow(e *command.Env) *command.Command {
	c := command.New("workload show", command.One("FILE"), "Show what is in a workload", `
Reads a workload file, HAR or NDJSON, as a server reads it, and shows its requests,
their mix, and which of them may change what a target stores. Nothing is contacted.`).Prints()
	c.Run = func(_ context.Context, args []string) error {
		text, err := input.Limited(args[0])
		if err != nil {
			return err
		}
		w, err := workload.Parse(args[0], []byte(text))
		if err != nil {
			wrong := api.AsError(err)
			begin, _, _ := strings.Cut(text, "\n")
			if _, err := workload.ParseLogLine(begin); err == nil {
				wrong.Details = append(wrong.Details, "it looks like an access log: oakum workload record makes a workload of it")
			}
			return wrong
		}
		s := workload.Summarise(w, []byte(text))
		return e.Show(c.Out, s, func(to io.Writer) { view.Workload(to, s) })
	}
	return c
}
