package advisory

import (
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/oakumhq/oakum/api"
)

// score is the base score of a CVSS vector, 0 to 10; false when it is none.
func score(vector string) (float64, bool) {
	switch {
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := gocvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := gocvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := gocvss40.ParseVector(vector); err == nil {
			return v.Score(), true
		}
	default:
		if v, err := gocvss20.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	}
	return 0, false
}

// rate takes the highest of the scores of an advisory. Without one, a word that the
// document has for its severity counts.
func (a *Advisory) rate(vectors []string, word string) {
	for _, v := range vectors {
		if s, ok := score(v); ok && (a.Vector == "" || s > a.Score) {
			a.Score, a.Vector = s, v
		}
	}
	switch {
	case a.Vector == "":
		a.Severity = map[string]api.Severity{
			"LOW": api.SeverityLow, "MODERATE": api.SeverityMedium, "MEDIUM": api.SeverityMedium, "HIGH": api.SeverityHigh, "CRITICAL": api.SeverityCritical,
		}[strings.ToUpper(word)]
	case a.Score >= 9:
		a.Severity = api.SeverityCritical
	case a.Score >= 7:
		a.Severity = api.SeverityHigh
	case a.Score >= 4:
		a.Severity = api.SeverityMedium
	default:
		a.Severity = api.SeverityLow
	}
}
