package promql

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql/parser/posrange"
)

// Placeholders stand in a text for what is known when it is asked.
const (
	LabelPlaceholder     = "$label"     // the label that holds an allocation's ID
	InstancesPlaceholder = "$instances" // the matcher of the allocations that are asked for
	WindowPlaceholder    = "$window"    // the window of rates
)

// someLabel stands for the label of the instance where its name is not known.
const someLabel = "oakum_instance"

// stands lists what a placeholder is while a text is checked.
func stands(label string) [][2]string {
	return [][2]string{{InstancesPlaceholder, label + `!=""`}, {LabelPlaceholder, label}, {WindowPlaceholder, "30s"}}
}

// filled is a text in which the placeholders are filled in.
type filled struct {
	written string
	text    string
	label   string   // of the instance
	moved   [][2]int // where a placeholder ends: byte of text, byte of written
}

func fill(text, label string) filled {
	if label == "" {
		label = someLabel
	}
	f := filled{written: text, label: label}
	known := stands(label)
	var b strings.Builder
	for at := 0; at < len(text); {
		i := slices.IndexFunc(known, func(s [2]string) bool { return strings.HasPrefix(text[at:], s[0]) })
		if i < 0 {
			b.WriteByte(text[at])
			at++
			continue
		}
		s := known[i]
		f.moved = append(f.moved, [2]int{b.Len(), at})
		b.WriteString(s[1])
		at += len(s[0])
		f.moved = append(f.moved, [2]int{b.Len(), at})
	}
	f.text = b.String()
	return f
}

// at makes a fault of a place in the filled text.
func (f filled) at(where posrange.PositionRange, problem string) *Fault {
	offset, from := int(where.Start), [2]int{}
	for _, m := range f.moved {
		if m[0] <= offset {
			from = m
		}
	}
	offset = min(max(from[1]+offset-from[0], 0), len(f.written))
	// People know the placeholder, and not what stands for it.
	problem = strings.ReplaceAll(problem, someLabel, LabelPlaceholder)
	before := f.written[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return &Fault{
		Offset: offset, Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(before[start:]) + 1,
		Problem: problem,
	}
}
