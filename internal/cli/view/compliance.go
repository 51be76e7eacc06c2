package view

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// tableWidth is how wide the tables of what is installed and affected are at most, in
// characters: their cells go on below.
const tableWidth = 100

// Compliance shows a table of all advisories, and below it what is not safe and what was
// taken out.
func Compliance(w io.Writer, c api.Compliance) {
	unread(w, c)
	if len(c.Advisories) == 0 {
		fmt.Fprintln(w, nothingSaid(c))
		return
	}
	fmt.Fprintf(w, "As of %s, of %s:\n\n", Stamp(c.At), Count(c.Targets, "target"))
	t := NewTable("Advisory", "Severity", "Affected", "Unknown", "Excepted", "Fixed", "Median", "90 %", "Known")
	for i := range c.Advisories {
		a := &c.Advisories[i]
		t.Add(append(append([]string{a.ID, string(a.Severity)}, countCells(a.ComplianceCounts)...), fixCell(a.Times, median), fixCell(a.Times, p90), day(a.Known))...)
	}
	t.PrintWithin(w, "", tableWidth)
	for i := range c.Advisories {
		if a := &c.Advisories[i]; a.Affected+a.Unknown+a.Excepted > 0 {
			fmt.Fprintln(w)
			advisoryTargets(w, a)
		}
	}
}

func unread(w io.Writer, c api.Compliance) {
	for _, reason := range c.Unread {
		fmt.Fprintln(w, Wrap("Nobody knows what is fixed by "+Printable(reason)+".", tableWidth))
	}
	for _, reason := range c.Problems {
		fmt.Fprintln(w, Wrap("Of the server's advisories, not all is known: "+Printable(reason)+".", tableWidth))
	}
	if len(c.Unread)+len(c.Problems) > 0 {
		fmt.Fprintln(w)
	}
}

// nothingSaid stands in the place of a table without rows.
func nothingSaid(c api.Compliance) string {
	if len(c.Unread) > 0 {
		return "No other patch that the cluster keeps says what it fixes, and no advisory of this server is about what is installed."
	}
	return "No patch that the cluster keeps says what it fixes, and no advisory of this server is about what is installed."
}

func countCells(c api.ComplianceCounts) []string {
	return []string{strconv.Itoa(c.Affected), strconv.Itoa(c.Unknown), strconv.Itoa(c.Excepted), strconv.Itoa(c.Fixed)}
}

func median(t *api.FixTimes) api.Duration { return t.Median }

func p90(t *api.FixTimes) api.Duration { return t.P90 }

// fixCell is one of the times in which targets were fixed; "-" where none was.
func fixCell(t *api.FixTimes, of func(*api.FixTimes) api.Duration) string {
	if t == nil {
		return "-"
	}
	return Span(of(t).D())
}

// day is a date, in UTC.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// advisoryTargets shows the targets of an advisory, one table for each status.
func advisoryTargets(w io.Writer, a *api.AdvisoryCompliance) {
	from := a.Source
	if len(a.Patches) > 0 {
		from = "patch " + strings.Join(a.Patches, ", ")
	}
	fmt.Fprintln(w, Wrap(fmt.Sprintf("%s (%s), from %s:", Printable(a.ID), Printable(strings.Join(a.Faults, ", ")), Printable(from)), tableWidth))
	for _, part := range []struct {
		status api.ComplianceStatus
		title  string
	}{
		{api.ComplianceAffected, "Affected"},
		{api.ComplianceUnknown, "Unknown, and so not safe"},
		{api.ComplianceExcepted, "Taken out by statements and exceptions"},
		{api.ComplianceFixed, "Fixed"},
	} {
		t := NewTable("Target", "Because", "Rollout")
		if part.status == api.ComplianceFixed {
			t = NewTable("Target", "Because", "Rollout", "After")
		}
		for i := range a.Targets {
			if row := &a.Targets[i]; row.Status == part.status {
				t.Add(targetCells(row)...)
			}
		}
		if len(t.rows) > 1 {
			fmt.Fprintf(w, "  %s:\n", part.title)
			t.LeaveOut("Rollout")
			t.PrintWithin(w, "    ", tableWidth)
		}
	}
	if a.Unlisted > 0 {
		fmt.Fprintln(w, "  "+unlisted(a))
	}
}

// unlisted says how many targets of an advisory the report leaves out.
func unlisted(a *api.AdvisoryCompliance) string {
	return Count(a.Unlisted, "further target") + ", counted and not listed"
}

func targetCells(row *api.TargetCompliance) []string {
	because := row.Reason
	if row.Status == api.ComplianceExcepted {
		because = exceptionText(row)
	}
	cells := []string{row.Target.String(), because, row.Rollout}
	switch {
	case row.Status != api.ComplianceFixed:
	case row.TimeToFix == nil:
		cells = append(cells, "-")
	default:
		cells = append(cells, Span(row.TimeToFix.D()))
	}
	return cells
}

// exceptionText says what was taken out, why, and by whom.
func exceptionText(row *api.TargetCompliance) string {
	var parts []string
	for _, e := range row.Exceptions {
		text := strings.TrimSpace(e.Package + " " + e.Version)
		if text != "" {
			text += ": "
		}
		text += e.Justification + " (" + e.Document
		if e.Author != "" {
			text += ", " + e.Author
		}
		if !e.At.IsZero() {
			text += ", " + day(e.At)
		}
		parts = append(parts, text+")")
	}
	if !row.Until.IsZero() {
		return strings.Join(parts, "; ") + ", until " + Stamp(row.Until)
	}
	return strings.Join(parts, "; ")
}

// Vulnerabilities lists faults by their names.
func Vulnerabilities(w io.Writer, c api.Compliance) {
	unread(w, c)
	if len(c.Vulnerabilities) == 0 {
		fmt.Fprintln(w, nothingSaid(c))
		return
	}
	t := NewTable("Name", "Severity", "Exploited", "Affected", "Unknown", "Excepted", "Fixed", "Known", "Patches")
	for _, v := range c.Vulnerabilities {
		t.Add(append(append([]string{v.Name, string(v.Severity), exploitedCell(&v)}, countCells(v.ComplianceCounts)...), day(v.Known), strings.Join(v.Patches, ", "))...)
	}
	t.PrintWithin(w, "", tableWidth)
}

// exploitedCell says that a fault is known to be exploited, else how probable that is.
func exploitedCell(v *api.Vulnerability) string {
	switch {
	case v.Exploited != nil:
		return "yes"
	case v.EPSS != nil:
		return fmt.Sprintf("%.1f %%", 100*v.EPSS.Probability)
	}
	return "-"
}

// Vulnerability shows one fault, or the faults of one advisory, with all targets that have
// anything to do with it.
func Vulnerability(w io.Writer, c api.Compliance) {
	unread(w, c)
	for _, v := range c.Vulnerabilities {
		severity := string(v.Severity)
		if v.Score > 0 {
			severity += fmt.Sprintf(" (%.1f)", v.Score)
		}
		Fields(w, "Name", v.Name, "Severity", severity, "Exploited", exploitedText(v.Exploited), "EPSS", probableText(v.EPSS), "Known", Stamp(v.Known), "Advisories", strings.Join(v.Advisories, ", "), "Patches", strings.Join(v.Patches, ", "),
			"Affected", Count(v.Affected, "target"), "Unknown", Count(v.Unknown, "target"), "Excepted", Count(v.Excepted, "target"), "Fixed", Count(v.Fixed, "target"))
		fmt.Fprintln(w)
	}
	for i := range c.Advisories {
		advisoryTargets(w, &c.Advisories[i])
	}
}

// ComplianceCSV writes one row for each target of each advisory, and one without a target
// for an advisory that has none, with a head. A row without target and status says how many
// targets the report counts and does not list. A cell that a spreadsheet would take for a
// formula begins with an apostrophe.
func ComplianceCSV(w io.Writer, c api.Compliance) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"advisory", "faults", "severity", "patches", "known", "target", "status", "reason", "packages", "rollout", "completed", "seconds_to_fix"}}
	for i := range c.Advisories {
		a := &c.Advisories[i]
		head := []string{a.ID, strings.Join(a.Faults, " "), string(a.Severity), strings.Join(a.Patches, " "), instant(a.Known)}
		for j := range a.Targets {
			row := &a.Targets[j]
			took := ""
			if row.TimeToFix != nil {
				took = strconv.FormatFloat(row.TimeToFix.D().Seconds(), 'f', 0, 64)
			}
			reason := row.Reason
			if row.Status == api.ComplianceExcepted {
				reason = exceptionText(row)
			}
			rows = append(rows, append(append([]string{}, head...), row.Target.String(), string(row.Status), reason, strings.Join(row.Packages, " "), row.Rollout, instant(row.Completed), took))
		}
		switch {
		case a.Unlisted > 0:
			rows = append(rows, append(append([]string{}, head...), "", "", unlisted(a), "", "", "", ""))
		case len(a.Targets) == 0:
			rows = append(rows, append(append([]string{}, head...), "", string(api.ComplianceNotAffected), "", "", "", "", ""))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				row[i] = "'" + cell
			}
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// instant is a time for a program; empty for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// CompliancePage writes the report as one HTML page.
func CompliancePage(w io.Writer, c api.Compliance) error {
	return page(w, compliancePage, map[string]any{"Title": "Compliance", "Report": c})
}

const compliancePage = `
{{- template "head" .Title}}
<h1>Compliance</h1>
{{- with .Report}}
<p>As of {{stamp .At}}, of {{.Targets}} targets. Unknown is never safe.</p>
{{- range .Unread}}<p class="abort">Nobody knows what is fixed by {{.}}.</p>{{end}}
{{- range .Problems}}<p class="abort">Of the server's advisories, not all is known: {{.}}.</p>{{end}}
{{- if .Advisories}}
<table><tr><th>Advisory</th><th>Severity</th><th>Affected</th><th>Unknown</th><th>Excepted</th><th>Fixed</th><th>Not affected</th><th>Time to fix: median</th><th>90 %</th><th>of targets</th><th>Known since</th></tr>
{{- range $i, $a := .Advisories}}
<tr><td><a href="#a{{$i}}">{{.ID}}</a><br/><small>{{range .Faults}}{{.}} {{end}}</small></td><td>{{.Severity}}</td><td>{{.Affected}}</td><td>{{.Unknown}}</td><td>{{.Excepted}}</td><td>{{.Fixed}}</td><td>{{.NotAffected}}</td>
{{- if .Times}}<td>{{span .Times.Median}}</td><td>{{span .Times.P90}}</td><td>{{.Times.Targets}}</td>{{else}}<td>-</td><td>-</td><td>0</td>{{end}}<td>{{stamp .Known}}</td></tr>
{{- end}}
</table>
<p><small>The time to fix is from when the cluster first knew the advisory to the end of the rollout after which the fault was gone. Of n times in order, the median is the one at n/2 and 90 % the one at 9n/10, rounded up. What was fixed by other means has no time.</small></p>
{{- else}}<p>No {{if .Unread}}other {{end}}patch that the cluster keeps says what it fixes, and no advisory of this server is about what is installed.</p>{{end}}
{{- range $i, $a := .Advisories}}
<h2 id="a{{$i}}">{{.ID}}</h2>
<p>{{.Summary}} <small>from {{.Source}}{{if .Patches}}, patches: {{range .Patches}}{{.}} {{end}}{{end}}</small></p>
{{- if .Targets}}
<table><tr><th>Target</th><th>Status</th><th>Because</th><th>Rollout</th><th>Time to fix</th></tr>
{{- range .Targets}}
<tr><td>{{.Target}}</td><td class="{{.Status}}">{{.Status}}</td><td>{{.Reason}}{{range .Exceptions}}<br/><small>{{.Package}} {{.Version}}: {{.Justification}} ({{.Document}}{{if .Author}}, {{.Author}}{{end}}{{if not .At.IsZero}}, {{stamp .At}}{{end}})</small>{{end}}{{if not .Until.IsZero}}<br/><small>until {{stamp .Until}}</small>{{end}}</td><td>{{.Rollout}}{{if not .Completed.IsZero}}<br/><small>{{stamp .Completed}}</small>{{end}}</td><td>{{if .TimeToFix}}{{span .TimeToFix}}{{end}}</td></tr>
{{- end}}
</table>
{{- else if not .Unlisted}}<p>No target has anything to do with it.</p>{{end}}
{{- if .Unlisted}}<p>Further targets that are counted, and not listed: {{.Unlisted}}</p>{{end}}
{{- end}}
{{- end}}
</body></html>
`
