package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/internal/workload"
)

// Workload shows what is in a workload.
func Workload(w io.Writer, s workload.Summary) {
	recorded, rate, unexpected := "", "", ""
	if s.Recorded > 0 {
		recorded = fmt.Sprintf("%d requests, and it stands for %s of them", s.Recorded, shareText(s.Kept))
		unexpected = fmt.Sprintf("%d others than usual", s.Unexpected)
	}
	if s.Rate > 0 {
		rate = fmt.Sprintf("%.3g requests/s", s.Rate)
	}
	Fields(w, "SHA-256", s.Digest, "Recorded from", s.Source, "Recorded", recorded, "Rate", rate, "Answers", unexpected,
		"Requests", fmt.Sprintf("%d distinct, %d with a body", s.Requests, s.Bodies), "Mutating", shareText(s.Mutating)+" (they are sent to twins only)",
		"Hosts", strings.Join(s.Hosts, " "), "Credentials", strings.Join(s.Credentials, " "))
	for _, part := range []struct {
		title, name string
		parts       []workload.Part
	}{{"Mix", "Requests", s.Mix}, {"Most of it", "Request", s.Top}} {
		fmt.Fprintf(w, "\n%s:\n", part.title)
		t := NewTable("Share", part.name)
		for _, p := range part.parts {
			t.Add(shareText(p.Share), p.Name)
		}
		t.Print(w, "  ")
	}
}

// Answers says what became of a service's recorded answers.
func Answers(w io.Writer, kept int, n workload.AnswerNotes) {
	fmt.Fprintf(w, "Recorded %s to %s and path; the file has %d of these.\n",
		Count(int(n.Seen), "answer"), Count(n.Distinct, "method"), kept)
	for _, c := range n.LeftOut {
		fmt.Fprintf(w, "Left out: %s: %d.\n", c.Name, c.Requests)
	}
}

// Recording says what became of a recording's requests.
func Recording(w io.Writer, s workload.Summary, n workload.Notes) {
	fmt.Fprintf(w, "Recorded %s, %d distinct. The workload has %d of these and stands for %s of the requests.\n",
		Count(int(s.Recorded), "request"), n.Distinct, s.Requests, shareText(s.Kept))
	for _, of := range []struct {
		title  string
		counts []workload.Count
		hint   string
	}{{"Left out", n.LeftOut, ""}, {"Headers that were not kept", n.Dropped, " (-keep-header keeps one)"}} {
		if len(of.counts) == 0 {
			continue
		}
		parts := make([]string, len(of.counts))
		for i, c := range of.counts {
			parts[i] = fmt.Sprintf("%s: %d", c.Name, c.Requests)
		}
		fmt.Fprintf(w, "%s%s: %s.\n", of.title, of.hint, strings.Join(parts, ", "))
	}
	if n.Credentials > 0 {
		fmt.Fprintf(w, "Credentials in queries or bodies were redacted in %s.\n", Count(int(n.Credentials), "request"))
	}
	if n.OtherHost > 0 {
		fmt.Fprintf(w, "%s to other hosts: not recorded.\n", Count(int(n.OtherHost), "request"))
	}
	if s.Mutating > 0 {
		fmt.Fprintf(w, "%s may change what is stored. They are sent to twins only.\n", shareText(s.Mutating))
	}
}

// shareText writes a share from 0 to 1.
func shareText(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }
