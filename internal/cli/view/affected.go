package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Affected shows who is affected by each advisory, who is unknown, and who is neither,
// with the reasons and how old each inventory is.
func Affected(w io.Writer, r api.AffectedReport, now time.Time) {
	for i, a := range r.Advisories {
		if i > 0 {
			fmt.Fprintln(w)
		}
		advisoryHead(w, a)
		var of []api.Assessment
		for _, s := range r.Assessments {
			if s.Advisory == a.ID {
				of = append(of, s)
			}
		}
		affectedTable(w, of, now)
		reasons(w, of, now, api.AssessmentUnknown, "Unknown, and so not safe")
		reasons(w, of, now, api.AssessmentFixed, "Fixed")
		reasons(w, of, now, api.AssessmentNotAffected, "Not affected")
		exceptions(w, of)
	}
}

func advisoryHead(w io.Writer, a api.Advisory) {
	severity := string(a.Severity)
	if a.Vector != "" {
		severity += fmt.Sprintf(" (%.1f, %s)", a.Score, a.Vector)
	}
	Fields(w, "Advisory", a.ID, "From", a.Source, "Also", strings.Join(append(append([]string(nil), a.Aliases...), a.Upstream...), ", "),
		"Summary", a.Summary, "Severity", severity, "Exploited", exploitedText(a.Exploited), "EPSS", probableText(a.EPSS))
}

// exploitedText says what is known of a fault that is exploited; empty for nothing.
func exploitedText(e *api.Exploited) string {
	if e == nil {
		return ""
	}
	text := fmt.Sprintf("%s, known since %s", e.Name, e.Added)
	if e.Due != "" {
		text += ", to be patched until " + e.Due
	}
	if e.Ransomware {
		text += ", used by ransomware"
	}
	return text
}

// probableText says how probable it is that a fault will be exploited; empty for nothing.
func probableText(e *api.EPSS) string {
	if e == nil {
		return ""
	}
	return fmt.Sprintf("%s, %.2f %% in the next 30 days, more than %.0f %% of all", e.Name, 100*e.Probability, 100*e.Percentile)
}

func affectedTable(w io.Writer, list []api.Assessment, now time.Time) {
	t := NewTable("Inventory", "Of", "Age", "Package", "Version", "Affected", "Fixed in")
	unknown := 0
	for _, a := range list {
		if a.Status == api.AssessmentUnknown {
			unknown++
		}
		for _, p := range a.Packages {
			t.Add(a.Inventory, a.Subject, takenAgo(a, now), p.Name, p.Version, p.Range, p.Fixed)
		}
	}
	none := len(t.rows) == 1
	switch {
	case unknown > 0 && none && unknown < len(list):
		fmt.Fprintf(w, "\nNobody knows of %d of %s; none of the others is affected.\n", unknown, inventories(len(list)))
	case unknown > 0:
		fmt.Fprintf(w, "\nNobody knows of %d of %s.\n", unknown, inventories(len(list)))
	case none:
		fmt.Fprintln(w, "\nNo inventory is affected.")
	}
	if none {
		return
	}
	fmt.Fprintln(w, "\nAffected:")
	t.PrintWithin(w, "  ", tableWidth)
}

// takenAgo is how old the inventory of an assessment is; "?" where it does not say, or says
// that it was taken in the future.
func takenAgo(a api.Assessment, now time.Time) string {
	if a.TakenAt.IsZero() || a.TakenAt.After(now) {
		return "?"
	}
	return Age(now, a.TakenAt)
}

func inventories(n int) string {
	if n == 1 {
		return "1 inventory"
	}
	return fmt.Sprintf("%d inventories", n)
}

func reasons(w io.Writer, list []api.Assessment, now time.Time, status api.AssessmentStatus, title string) {
	t := NewTable("Inventory", "Of", "Age", "Reason")
	above := ""
	for _, a := range list {
		if a.Status == status {
			t.Add(a.Inventory, a.Subject, takenAgo(a, now), unlessSame(&above, a.Reason))
		}
	}
	if len(t.rows) > 1 {
		fmt.Fprintf(w, "\n%s:\n", title)
		t.PrintWithin(w, "  ", tableWidth)
	}
}

func exceptions(w io.Writer, list []api.Assessment) {
	t := NewTable("Inventory", "Package", "Version", "Justification", "Document", "By", "At")
	for _, a := range list {
		for _, e := range a.Exceptions {
			t.Add(a.Inventory, e.Package, e.Version, e.Justification, e.Document, e.Author, day(e.At))
		}
	}
	if len(t.rows) > 1 {
		fmt.Fprintln(w, "\nTaken out by statements:")
		t.PrintWithin(w, "  ", tableWidth)
	}
}
