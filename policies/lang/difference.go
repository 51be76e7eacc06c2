package lang

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/oakumhq/oakum/api"
)

// Difference is one thing that two files say differently. How a file is laid out, its
// comments and the order of its arguments say nothing.
type Difference struct {
	Where string `json:"where"` // the blocks around it, and the argument: policy "web" budget instances
	From  string `json:"from"`  // the expression as it was written, or "" where there is none
	To    string `json:"to"`
}

// differenceMax is how many bytes of an expression a difference shows.
const differenceMax = 120

// words are an expression as it was written, and in one form for every layout.
type words struct{ written, same string }

// Differences compares two files that could be read, in the order of the places.
func Differences(from, to api.SourceFile, a, b *Source) []Difference {
	before, after := said(from, a), said(to, b)
	all := maps.Clone(before)
	maps.Copy(all, after)
	out := []Difference{}
	for _, where := range Names(all) {
		if was, is := before[where], after[where]; was.same != is.same {
			out = append(out, Difference{Where: where, From: was.written, To: is.written})
		}
	}
	return out
}

// said is what a file says, by place. Another file that it reads is there by its digest.
func said(file api.SourceFile, s *Source) map[string]words {
	out := map[string]words{}
	s.say("", s.Body, out)
	for name, text := range file.Files {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
		out[fmt.Sprintf("file %q", name)] = words{digest, digest}
	}
	return out
}

func (s *Source) say(within string, body *hclsyntax.Body, into map[string]words) {
	for _, attr := range Attributes(body) {
		into[within+attr.Name] = s.words(attr.Expr.Range())
	}
	seen, strategies := map[string]int{}, 0
	for _, b := range body.Blocks {
		where := within + b.Type
		for _, label := range b.Labels {
			where += fmt.Sprintf(" %q", label)
		}
		if seen[where]++; seen[where] > 1 {
			where += fmt.Sprintf(" (%d)", seen[where])
		}
		switch {
		case b.Type == "strategy": // of several that may be taken the first one is
			strategies++
			place := fmt.Sprintf("strategy %d of the policy", strategies)
			into[where] = words{place, place}
		case len(b.Body.Attributes)+len(b.Body.Blocks) == 0:
			into[where] = words{"{}", "{}"}
		}
		s.say(where+" ", b.Body, into)
	}
}

// words reads an expression. Comments, line breaks and a comma after the last element say
// nothing; a line break between the elements of an object is a comma.
func (s *Source) words(of hcl.Range) words {
	text := of.SliceBytes(s.Text)
	tokens, _ := hclsyntax.LexExpression(text, of.Filename, of.Start) // it was parsed before
	var same []string
	var open []hclsyntax.TokenType
	last := func() string {
		if len(same) == 0 {
			return ""
		}
		return same[len(same)-1]
	}
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenComment, hclsyntax.TokenNewline:
			// A comment to the end of a line has the line break in it.
			inObject := len(open) > 0 && open[len(open)-1] == hclsyntax.TokenOBrace
			if inObject && strings.HasSuffix(string(t.Bytes), "\n") && last() != "{" && last() != "," {
				same = append(same, ",")
			}
			continue
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t.Type)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			open = open[:max(0, len(open)-1)]
			if last() == "," {
				same = same[:len(same)-1]
			}
		default: // it opens and closes nothing
		}
		same = append(same, string(t.Bytes))
	}
	return words{oneLine(string(text)), strings.Join(same, "\x00")}
}

// oneLine writes an expression in a line that is not too long.
func oneLine(text string) string {
	if strings.Contains(text, "\n") {
		text = strings.Join(strings.Fields(text), " ")
	}
	if len(text) > differenceMax {
		text = strings.ToValidUTF8(text[:differenceMax], "") + " …"
	}
	return text
}
