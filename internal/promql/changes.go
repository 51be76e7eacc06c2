package promql

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// ChangeLabel says in an answer to Changes what became of series: ChangeBegan, ChangeEnded
// or ChangeReset.
const ChangeLabel = "oakum_change"

// What becomes of a series between two looks.
const (
	ChangeBegan = "began" // it is there now, and was not at the look before
	ChangeEnded = "ended" // it was there at the look before, and is not now
	ChangeReset = "reset" // its counter fell
)

// Durations that stand in a text until somebody asks it. No query has them.
const (
	standInGap   = 11*time.Hour + 11*time.Minute + 11*time.Second + 111*time.Millisecond
	standInRange = 22*time.Hour + 22*time.Minute + 22*time.Second + 222*time.Millisecond
)

// Changes are questions about the series behind the sums that a query of counters
// answers. Between two looks such a sum grows by what its series grew only when none of
// them ended, came back or was reset.
type Changes struct {
	what, back string
}

// ChangesOf writes the questions. It is false where a query does not sum up series, reads
// them with an offset or over a range, or drops the label of the instance before it sums
// up. Of a classic histogram they are about the bucket of all requests alone.
func ChangesOf(text, label string) (Changes, bool) {
	what, ok := rewrite(text, label, func(expr parser.Expr) parser.Expr {
		return ofParts(expr, label, func(part parser.Expr) []parser.Expr {
			now, then := part, changed(part, before)
			return []parser.Expr{
				marked(counted(unless(then, now), label), ChangeEnded),
				marked(counted(unless(now, then), label), ChangeBegan),
				marked(counted(&parser.BinaryExpr{Op: parser.GTR, LHS: changed(part, resets), RHS: &parser.NumberLiteral{}}, label), ChangeReset),
			}
		})
	})
	if !ok {
		return Changes{}, false
	}
	back, ok := rewrite(text, label, func(expr parser.Expr) parser.Expr {
		return ofParts(expr, label, func(part parser.Expr) []parser.Expr {
			began := &parser.ParenExpr{Expr: unless(part, changed(part, before))}
			return []parser.Expr{counted(&parser.BinaryExpr{
				Op: parser.LAND, LHS: began, RHS: changed(part, everBefore), VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany},
			}, label)}
		})
	})
	return Changes{what, back}, ok
}

// Since asks which instances have series that changed since a look so long ago: one row
// for each instance and change, with how many series. Scrape is the time between two
// samples of a series at most.
func (c Changes) Since(gap, scrape time.Duration) string { return during(c.what, gap, gap+scrape) }

// Back asks which instances have series that began since a look so long ago, and that had
// samples in the while before it too.
func (c Changes) Back(gap, while time.Duration) string { return during(c.back, gap, while) }

func during(text string, gap, reach time.Duration) string {
	return strings.NewReplacer(
		model.Duration(standInGap).String(), model.Duration(gap).String(),
		model.Duration(standInRange).String(), model.Duration(reach).String(),
	).Replace(text)
}

// ofParts makes one expression of what the questions about each part of a sum are. It is
// nil where they can't be asked.
func ofParts(expr parser.Expr, label string, questions func(part parser.Expr) []parser.Expr) parser.Expr {
	var parts []parser.Expr
	if !summed(expr, &parts) {
		return nil
	}
	var out parser.Expr
	for _, part := range parts {
		if !labelsOf(part).may(label) || !plain(part) {
			return nil
		}
		part = changed(part, allRequests)
		if _, ok := part.(*parser.BinaryExpr); ok { // what is put around it binds tighter
			part = &parser.ParenExpr{Expr: part}
		}
		for _, q := range questions(part) {
			if out == nil {
				out = q
				continue
			}
			out = &parser.BinaryExpr{Op: parser.LOR, LHS: out, RHS: q, VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany}}
		}
	}
	return out
}

// plain reports whether an expression reads all its series as they are now.
func plain(expr parser.Expr) bool {
	ok := true
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch x := node.(type) {
		case *parser.MatrixSelector, *parser.SubqueryExpr:
			ok = false
		case *parser.VectorSelector:
			ok = ok && x.OriginalOffset == 0 && x.OriginalOffsetExpr == nil && x.Timestamp == nil && x.StartOrEnd == 0
		}
		return nil
	})
	return ok
}

// changed is an expression of which each selector was exchanged. The expression itself
// stays as it is.
func changed(expr parser.Expr, to func(parser.VectorSelector) parser.Expr) parser.Expr {
	switch x := expr.(type) {
	case *parser.VectorSelector:
		return to(*x)
	case *parser.ParenExpr:
		c := *x
		c.Expr = changed(x.Expr, to)
		return &c
	case *parser.UnaryExpr:
		c := *x
		c.Expr = changed(x.Expr, to)
		return &c
	case *parser.AggregateExpr:
		c := *x
		c.Expr = changed(x.Expr, to)
		return &c
	case *parser.BinaryExpr:
		c := *x
		c.LHS, c.RHS = changed(x.LHS, to), changed(x.RHS, to)
		return &c
	case *parser.Call:
		c := *x
		c.Args = make(parser.Expressions, len(x.Args))
		for i, arg := range x.Args {
			c.Args[i] = changed(arg, to)
			if inner, ok := c.Args[i].(*parser.Call); ok && inner.Func.Name == "resets" && strings.HasPrefix(x.Func.Name, "histogram_") {
				return inner // it counts those of a histogram too
			}
		}
		return &c
	}
	return expr
}

func before(s parser.VectorSelector) parser.Expr {
	s.OriginalOffset = standInGap
	return &s
}

func resets(s parser.VectorSelector) parser.Expr {
	return call("resets", &parser.MatrixSelector{VectorSelector: &s, Range: standInRange})
}

func everBefore(s parser.VectorSelector) parser.Expr {
	s.OriginalOffset = standInGap
	return call("last_over_time", &parser.MatrixSelector{VectorSelector: &s, Range: standInRange})
}

// allRequests takes of a classic histogram the bucket that counts all requests.
func allRequests(s parser.VectorSelector) parser.Expr {
	if strings.HasSuffix(nameOf(&s), "_bucket") {
		s.LabelMatchers = append(slices.Clip(s.LabelMatchers), labels.MustNewMatcher(labels.MatchEqual, Bucket, "+Inf"))
	}
	return &s
}

func call(name string, args ...parser.Expr) parser.Expr {
	return &parser.Call{Func: parser.Functions[name], Args: args}
}

func unless(a, b parser.Expr) parser.Expr {
	return &parser.BinaryExpr{Op: parser.LUNLESS, LHS: a, RHS: b, VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany}}
}

func counted(expr parser.Expr, label string) parser.Expr {
	return &parser.AggregateExpr{Op: parser.COUNT, Expr: expr, Grouping: []string{label}}
}

func marked(expr parser.Expr, change string) parser.Expr {
	text := func(s string) parser.Expr { return &parser.StringLiteral{Val: s} }
	return call("label_replace", expr, text(ChangeLabel), text(change), text(""), text(""))
}
