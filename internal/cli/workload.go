package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/internal/workload/proxy"
)

const (
	// sampleDefault is how many distinct requests a recording keeps. A simulation
	// sends some hundred requests.
	sampleDefault = 1000
	// harMax bounds a HAR file that is read. Browsers put all answers into it.
	harMax = 256 << 20
	// logLineMax bounds a line of an access log.
	logLineMax = 1 << 20
	// peekMax is how much of a file shows whether it is a HAR file.
	peekMax = 512
	// forwarding is how long requests under way may take once a recording ends.
	forwarding = 5 * time.Second
	// headersWithin is how long a caller of the proxy may take to send a request's
	// headers.
	headersWithin = 30 * time.Second
)

// recordFlags are what the command line says.
type recordFlags struct {
	out, listen, to string
	requests        int
	options         workload.TallyOptions
}

func workloadRecord(e *env) *command {
	c := newCommand("workload record", opt("FILE"), "Record what a target is asked", `
Makes a workload out of what production was asked: from an access log (common or
combined, Envoy's text, JSON of Envoy, Caddy or Traefik), from a HAR file, or, with
-listen and -to, from a proxy that forwards to the target until it is interrupted.
Without FILE, standard input is read.

A sample of the distinct requests is kept, with their mix. Headers that don't say
what is asked for are not kept, and credentials in queries, forms and JSON are
replaced. Look at the file before you commit it: a path may have personal data.

    $ oakum workload record -out=web.ndjson access.log
    $ oakum workload record -out=web.ndjson -listen=127.0.0.1:8080 -to=http://10.0.0.5

Name the file in a policy, as workload = file("web.ndjson").`)
	f := &recordFlags{}
	c.flags.StringVar(&f.out, "out", "", "The `file` to write. Default: standard output.")
	c.flags.IntVar(&f.requests, "requests", sampleDefault, "How `many` distinct requests are kept. Default: 1000.")
	c.flags.Var((*list)(&f.options.Hosts), "host", "Take only requests to this `host`. May be given several times.")
	c.flags.Var((*list)(&f.options.Keep), "keep-header", "Keep this `header`, though it may be a credential. May be given several times.")
	c.flags.BoolVar(&f.options.Anonymise, "anonymise", false, "Replace the values in queries by numbers.")
	c.flags.StringVar(&f.listen, "listen", "", "Record as a proxy at this `address`, such as 127.0.0.1:8080.")
	c.flags.StringVar(&f.to, "to", "", "The `URL` that the proxy forwards to, such as http://10.0.0.5:80.")
	c.run = func(ctx context.Context, args []string) error { return e.record(ctx, f, args) }
	return c
}

func (e *env) record(ctx context.Context, f *recordFlags, args []string) error {
	switch {
	case f.requests < 1 || f.requests > workload.RequestsMax:
		return usage("-requests: want a number from 1 to %d", workload.RequestsMax)
	case (f.listen == "") != (f.to == ""):
		return usage("-listen and -to: a proxy needs both of them")
	case f.listen != "" && len(args) > 0:
		return usage("-listen: a proxy reads no file, not %q", args[0])
	}
	read := func(t *workload.Tally) error { return e.readRecording(ctx, t, args) }
	f.options.Source = "access log"
	if f.listen != "" {
		f.options.Source, f.options.AnyHost = "proxy", true
		read = func(t *workload.Tally) error { return e.forward(ctx, t, f.listen, f.to) }
	}
	if f.out != "" {
		// A recording takes hours, and one that can't be written is lost.
		if err := writable(filepath.Dir(f.out)); err != nil {
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
	w, notes, err := tally.Workload(f.requests)
	if err != nil {
		return err
	}
	file := w.Encode()
	if f.out == "" {
		if _, err := e.Stdout.Write(file); err != nil {
			return fmt.Errorf("write workload: %w", err)
		}
	} else if err := replaceFile(f.out, func(to io.Writer) error { _, err := to.Write(file); return err }); err != nil {
		return err
	}
	view.Recording(e.Stderr, workload.Summarise(w, file), notes)
	return nil
}

// writable refuses a folder in which no file can be made.
func writable(folder string) error {
	f, err := os.CreateTemp(folder, ".oakum-*")
	if err != nil {
		return api.Errorf(api.CodeInvalid, "-out: create a file in %s: %s", folder, input.Cause(errors.Unwrap(err)))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// readRecording reads an access log or a HAR file.
func (e *env) readRecording(ctx context.Context, t *workload.Tally, args []string) error {
	name, from := "standard input", e.Stdin
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return api.Errorf(api.CodeInvalid, "read file: %s", input.Cause(err))
		}
		defer file.Close() //nolint:errcheck // it is only read
		name, from = args[0], file
	}
	buffered := bufio.NewReader(from)
	begin, err := buffered.Peek(peekMax)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return api.Errorf(api.CodeInvalid, "read file: %s", input.Cause(err))
	case bytes.HasPrefix(begin, []byte("\x1f\x8b")):
		return api.Errorf(api.CodeInvalid, "%s: it is compressed: zcat FILE | oakum workload record", name)
	case !workload.IsHAR(begin):
		return e.readLog(ctx, t, name, buffered)
	}
	data, err := io.ReadAll(io.LimitReader(buffered, harMax+1))
	switch {
	case err != nil:
		return api.Errorf(api.CodeInvalid, "read %s: %s", name, input.Cause(err))
	case len(data) > harMax:
		return api.Errorf(api.CodeInvalid, "%s: larger than %d MiB", name, harMax>>20)
	}
	return t.AddHAR(name, data)
}

// readLog reads an access log. Lines that are no requests are in any log, and more than
// half of a file only if it is something else.
func (e *env) readLog(ctx context.Context, t *workload.Tally, name string, from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, logLineMax)
	n, others, first := 0, 0, ""
	for lines.Scan() {
		if n++; ctx.Err() != nil {
			return fmt.Errorf("read %s: %w", name, ctx.Err())
		}
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		o, err := workload.ParseLogLine(string(text))
		if err == nil {
			t.Add(o)
			continue
		}
		if others++; others == 1 {
			first = fmt.Sprintf("%s:%d: %v", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return api.Errorf(api.CodeInvalid, "%s:%d: %s", name, n+1, input.Cause(err))
	}
	if others > n-others {
		return api.Errorf(api.CodeInvalid, "%s: %d of %s are requests; the first other one is %s", name, n-others, view.Count(n, "line"), first)
	}
	if others > 0 {
		e.warnf("%d of %s are no requests; the first is %s\n", others, view.Count(n, "line"), first)
	}
	return nil
}

// forward runs the proxy until ctx ends.
func (e *env) forward(ctx context.Context, t *workload.Tally, listen, to string) error {
	target, err := url.Parse(to)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" || (target.Path != "" && target.Path != "/") || target.RawQuery != "" {
		return usage("-to %q: want scheme and host, such as http://10.0.0.5:80", to)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return api.Errorf(api.CodeInvalid, "listen: %v", err)
	}
	p := proxy.New(target, t, time.Now)
	defer p.End()
	server := &http.Server{Handler: p, ReadHeaderTimeout: headersWithin}
	e.warnf("Forwarding from http://%s to %s. Interrupt to end the recording.\n", listener.Addr(), to)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), forwarding)
	defer cancel()
	// Requests that take longer are cut off, and not recorded.
	if err := server.Shutdown(rest); err != nil {
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func workloadShow(e *env) *command {
	c := newCommand("workload show", one("FILE"), "Show what is in a workload", `
Reads a workload file, HAR or NDJSON, as a server reads it, and shows its requests,
their mix, and which of them may change what a target stores. Nothing is contacted.`).prints()
	c.run = func(_ context.Context, args []string) error {
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
		return e.show(c.out, s, func(to io.Writer) { view.Workload(to, s) })
	}
	return c
}
