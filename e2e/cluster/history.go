package cluster

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what a caller asked for.
type Kind string

// The kinds. A Reset is a restored snapshot's effect on one key.
const (
	Put    Kind = "put"
	Delete Kind = "delete"
	Read   Kind = "read"
	Reset  Kind = "reset"
)

// Outcome is what the caller knows afterwards.
type Outcome string

// The outcomes. Refused means that the server said that it did nothing;
// Unknown, that nobody said anything that can be relied on.
const (
	Done    Outcome = "done"
	Absent  Outcome = "absent" // done, and there was nothing of that name
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
)

// Operation is one call of one caller. Each key is a register: a policy of that
// name, whose value is a word in its text.
type Operation struct {
	Caller  int
	Server  string // that was asked
	Kind    Kind
	Key     string
	Value   string // written, or found by a read; empty means absent
	Level   Level  // of a read
	Outcome Outcome
	Call    time.Duration // since the load began
	Return  time.Duration
	Err     string
}

// String is one line for a person.
func (o Operation) String() string {
	text := fmt.Sprintf("%s %s", o.Kind, o.Key)
	if o.Value != "" {
		text += " " + o.Value
	}
	if o.Level != "" {
		text += " (" + string(o.Level) + ")"
	}
	return fmt.Sprintf("%s: %s at %s", text, o.Outcome, o.Server)
}

// Level is how strictly a read asks.
type Level string

// The levels, as the API has them.
const (
	Default    Level = "default"
	Consistent Level = "consistent"
)

// input and output are an operation's two halves for the checker.
type input struct {
	kind       Kind
	key, value string
}

type output struct {
	outcome Outcome
	value   string
	server  string
	level   Level
	perhaps bool // a delete that may have met a write which was left out
}

// register is what a key must behave like: one value that changes at one
// moment between each call and its return.
func register() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			var keys []string
			for _, o := range history {
				key := o.Input.(input).key
				if byKey[key] == nil {
					keys = append(keys, key)
				}
				byKey[key] = append(byKey[key], o)
			}
			slices.Sort(keys)
			parts := make([][]porcupine.Operation, len(keys))
			for i, key := range keys {
				parts[i] = byKey[key]
			}
			return parts
		},
		Init: func() any { return "" },
		Step: func(state, in, out any) (bool, any) {
			now, i, o := state.(string), in.(input), out.(output)
			switch i.kind {
			case Put, Reset:
				return true, i.value
			case Delete:
				switch o.outcome {
				case Done:
					return now != "" || o.perhaps, ""
				case Absent:
					return now == "", ""
				case Refused, Unknown:
				}
				return true, ""
			case Read:
				return now == o.value, now
			}
			return false, now
		},
		DescribeOperation: func(in, out any) string {
			i, o := in.(input), out.(output)
			if i.kind == Read {
				return fmt.Sprintf("%s read at %s: %s", o.level, o.server, cmp.Or(o.value, "absent"))
			}
			return fmt.Sprintf("%s %s at %s: %s", i.kind, i.value, o.server, o.outcome)
		},
		DescribeState: func(state any) string { return cmp.Or(state.(string), "absent") },
	}
}

// forever is the return of what may still happen.
const forever = int64(math.MaxInt64)

// calls makes the checker's history of what was seen: without what was surely
// not done, without reads that told nothing, and, since every value is written
// once only, without unknown writes that nobody ever read: they may as well come
// after everything, or be what a delete found. One that was read ends with its
// first sight at the latest.
func calls(history []Operation) []porcupine.Operation {
	type write struct{ key, value string }
	seen := map[write]int64{}
	for _, o := range history {
		if o.Kind == Read && o.Outcome == Done {
			w := write{o.Key, o.Value}
			if first, ok := seen[w]; !ok || int64(o.Return) < first {
				seen[w] = int64(o.Return)
			}
		}
	}
	left := map[string]bool{} // keys of which a write is left out
	for _, o := range history {
		if _, ok := seen[write{o.Key, o.Value}]; !ok && o.Kind == Put && o.Outcome == Unknown {
			left[o.Key] = true
		}
	}
	var out []porcupine.Operation
	for _, o := range history {
		end := int64(o.Return)
		switch {
		case o.Outcome == Refused, o.Kind == Read && o.Outcome == Unknown:
			continue
		case o.Kind == Put && o.Outcome == Unknown:
			first, ok := seen[write{o.Key, o.Value}]
			if !ok {
				continue
			}
			end = first
		case o.Outcome == Unknown:
			end = forever
		}
		found := ""
		if o.Kind == Read {
			found = o.Value
		}
		out = append(out, porcupine.Operation{
			ClientId: o.Caller, Call: int64(o.Call), Return: max(end, int64(o.Call)),
			Input:  input{o.Kind, o.Key, o.Value},
			Output: output{o.Outcome, found, o.Server, o.Level, left[o.Key]},
		})
	}
	return out
}

// checkTimeout bounds a check. The histories here take milliseconds.
const checkTimeout = time.Minute

// Check reports why there is no single order that explains a history, nil when
// there is one. The checker's picture of a bad one is written to path.
func Check(history []Operation, path string) error {
	model := register()
	result, info := porcupine.CheckOperationsVerbose(model, calls(history), checkTimeout)
	if result == porcupine.Ok {
		return nil
	}
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		return fmt.Errorf("draw the history: %w", err)
	}
	return fmt.Errorf("no single order explains what callers were told (%s): see %s", result, path)
}

// Strict leaves the default reads out.
func Strict(history []Operation) []Operation {
	return slices.DeleteFunc(slices.Clone(history), func(o Operation) bool { return o.Kind == Read && o.Level != Consistent })
}

// Summary counts a history by kind and outcome.
func Summary(history []Operation) string {
	counts := map[string]int{}
	for _, o := range history {
		counts[string(o.Kind)+" "+string(o.Outcome)]++
	}
	var lines []string
	for what, n := range counts {
		lines = append(lines, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d operations: %s", len(history), strings.Join(lines, ", "))
}

// Accepted counts the changes that servers confirmed between two moments.
func Accepted(history []Operation, from, to time.Duration) int {
	n := 0
	for _, o := range history {
		if o.Kind != Read && o.Outcome == Done && o.Call >= from && o.Return <= to {
			n++
		}
	}
	return n
}
