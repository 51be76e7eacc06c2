package sandbox

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/twin"
)

// Exit codes of bake.sh.
const (
	codeProvedNot = 80 // the report says why
	codeTimeout   = 81 // the report says what ran
	codeRefused   = 86 // the image may not be read, or its folder not be written to
	codeUnknown   = -1 // the task never ran
)

// bakeEnd is how a bake has ended.
type bakeEnd struct {
	spec    twin.BakeSpec
	within  time.Duration // how long the machine might run
	code    int           // exit code of bake.sh; codeUnknown when it never ran
	events  []*nomadapi.TaskEvent
	why     string // what Nomad and bake.sh say of a failure
	report  string
	console string // the end of it
}

// image is the image that was made, or an error as BakeImage returns it.
func (e *bakeEnd) image() (twin.Image, error) {
	switch e.code {
	case 0, codeProvedNot, codeTimeout:
	case codeUnknown:
		return twin.Image{}, e.neverRan()
	case codeRefused:
		return twin.Image{}, api.Errorf(api.CodeInvalid, "%s", e.why)
	default:
		return twin.Image{}, api.Errorf(api.CodeUnavailable, "%s", e.why)
	}
	r, err := appliance.Parse(e.report)
	if err != nil {
		return twin.Image{}, api.Errorf(api.CodeUnavailable, "%s", err)
	}
	if e.code != 0 {
		return twin.Image{}, e.blame(r)
	}
	if !r.Proved || api.IsSHA256(r.Digest) != (e.spec.Result != "" || e.spec.Hash) || len(r.Scripts) != len(e.spec.Steps) {
		return twin.Image{}, api.Errorf(api.CodeUnavailable, "the appliance's report lacks the image, or a script")
	}
	proofs, err := e.proofs(r)
	if err != nil {
		return twin.Image{}, err
	}
	return twin.Image{
		Path: e.spec.Result, Digest: r.Digest, Node: e.spec.Node,
		Before: r.Before, After: r.After, Databases: r.Databases, Kernel: r.Kernel(), Proofs: proofs,
	}, nil
}

// proofs are those that the patch asked for, each with what its command said.
func (e *bakeEnd) proofs(r *appliance.Report) ([]api.Proof, error) {
	var out []api.Proof
	n := 0
	for i, step := range e.spec.Steps {
		for j, v := range step.Verify {
			if n >= len(r.Verifies) || r.Verifies[n].Step != i || r.Verifies[n].Command != j {
				return nil, api.Errorf(api.CodeUnavailable, "the appliance's report lacks the command %q", v.Command)
			}
			out = append(out, api.Proof{Command: v.Command, Where: "image", OK: true, Output: tail(r.Verifies[n].Output)})
			n++
		}
	}
	return out, nil
}

// blame says why there is no image: the patch's fault has code conflict.
func (e *bakeEnd) blame(r *appliance.Report) error {
	if r.Fault != "" {
		return api.Errorf(api.CodeUnavailable, "the appliance: %s", r.Fault)
	}
	run, verify, running := r.Running()
	switch {
	case !running && len(r.Verifies) > 0:
		run, verify = r.Verifies[len(r.Verifies)-1], true
	case !running && len(r.Scripts) > 0:
		run = r.Scripts[len(r.Scripts)-1]
	}
	what := e.name(run, verify)
	blamed := func(format string, args ...any) error {
		text := what + " " + fmt.Sprintf(format, args...)
		if said := tail(e.console); said != "" {
			text += "; the console's last lines: " + said
		}
		return api.Errorf(api.CodeConflict, "%s", text)
	}
	switch {
	case running && e.code == codeTimeout:
		return blamed("has not ended after %s", e.within)
	case running && strings.Contains(e.console, "Kernel panic"):
		return api.Errorf(api.CodeUnavailable, "the appliance's kernel gave up while %s ran: %s", what, tail(e.console))
	case running:
		return blamed("ended the machine")
	case run.Status > 0 && run.Starved:
		return api.Errorf(api.CodeUnavailable, "%s ended with status %d, and the appliance's kernel had killed a process for lack of memory (simulator.appliance.memory)", what, run.Status)
	case run.Status > 0:
		return blamed("ended with status %d", run.Status)
	case run.Missing:
		return blamed("did not print %q", e.spec.Steps[run.Step].Verify[run.Command].Expect)
	}
	return api.Errorf(api.CodeUnavailable, "the appliance ended before its work was done: %s", cmp.Or(tail(e.console), e.why))
}

// name says for a person which script or command it is.
func (e *bakeEnd) name(run appliance.Run, verify bool) string {
	if run.Step >= len(e.spec.Steps) {
		return "a script"
	}
	if verify && run.Command < len(e.spec.Steps[run.Step].Verify) {
		return fmt.Sprintf("the command %q", e.spec.Steps[run.Step].Verify[run.Command].Command)
	}
	if len(e.spec.Steps) == 1 {
		return "the script"
	}
	return fmt.Sprintf("script %d of %d", run.Step+1, len(e.spec.Steps))
}

// neverRan says why the task never ran. A payload that is not what its checksum says
// is the patch's fault.
func (e *bakeEnd) neverRan() error {
	sums := regexp.MustCompile(`(?s)Checksums did not match.*Expected: ([0-9a-f]+).*Got: ([0-9a-f]+)`)
	for _, event := range e.events {
		if event.Type != nomadapi.TaskArtifactDownloadFailed {
			continue
		}
		found := sums.FindStringSubmatch(event.DisplayMessage)
		for _, step := range e.spec.Steps {
			for _, p := range step.Payloads {
				if found != nil && strings.HasSuffix(p.Checksum, found[1]) && strings.Contains(event.DisplayMessage, p.Source) {
					return api.Errorf(api.CodeConflict, "payload %q: %s has the checksum sha256:%s, not %s", p.Name, p.Source, found[2], p.Checksum)
				}
			}
		}
		return api.Errorf(api.CodeUnavailable, "%s", event.DisplayMessage)
	}
	return api.Errorf(api.CodeUnavailable, "%s", e.why)
}

// tail is the end of what a machine printed, in one line: its last ten lines, without
// control characters and at most a kilobyte.
func tail(console string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAllString(strings.ToValidUTF8(console, "\uFFFD"), ""))
	var lines []string
	for line := range strings.Lines(clean) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasSuffix(line, "reboot: Power down") {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines[max(0, len(lines)-10):], " | ")
	if over := len(text) - 1024; over > 0 {
		text = strings.ToValidUTF8(text[over:], "")
	}
	return text
}
