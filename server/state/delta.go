package state

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// rolloutChange is a RolloutTransition as it stands in the log from level 2 on. It
// holds only the fields that differ from the rollout that the decision was made
// from. A rollout of a large target weighs megabytes, mostly its instances, of which
// a few change at a time.
type rolloutChange struct {
	Kind   string                     `json:"kind"`
	Expect uint64                     `json:"expect"`
	ID     string                     `json:"id"`
	Fields map[string]json.RawMessage `json:"fields,omitempty"`
	Runs   []instanceRun              `json:"runs,omitempty"` // the instances, when they are not in Fields
}

// instanceRun is a part of the instances: N former ones from From on, or new
// ones.
type instanceRun struct {
	From int            `json:"from,omitempty"`
	N    int            `json:"n,omitempty"`
	New  []api.Instance `json:"new,omitempty"`
}

// Type is the command's number.
func (*rolloutChange) Type() Type { return TypeRolloutChange }

func (*rolloutChange) level() int { return levels.Two }

// fieldInstances is the field that a change stores as runs.
const fieldInstances = "instances"

// changeOf turns a transition into a change: it keeps the fields that differ from
// the rollout that the transition was made from.
func changeOf(t *RolloutTransition, old *api.Rollout) (*rolloutChange, error) {
	out := &rolloutChange{Kind: t.Kind, Expect: t.Expect, ID: t.Rollout.ID, Fields: map[string]json.RawMessage{}}
	was, is := reflect.ValueOf(old).Elem(), reflect.ValueOf(&t.Rollout).Elem()
	for i := range is.NumField() {
		if reflect.DeepEqual(was.Field(i).Interface(), is.Field(i).Interface()) {
			continue
		}
		name := jsonName(is.Type().Field(i))
		if name == fieldInstances {
			if out.Runs = runs(old.Instances, t.Rollout.Instances); out.Runs != nil {
				continue
			}
		}
		raw, err := json.Marshal(is.Field(i).Interface())
		if err != nil {
			return nil, err
		}
		out.Fields[name] = raw
	}
	return out, nil
}

// jsonName is a field's name in JSON; every field of a rollout has one.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// runs describes next by parts of old. It is nil when next has no unchanged instance
// of old, or next is empty.
func runs(old, next []api.Instance) []instanceRun {
	at := make(map[string]int, len(old))
	for i := range old {
		at[old[i].ID] = i
	}
	var out []instanceRun
	kept := false
	for _, in := range next {
		i, known := at[in.ID]
		last := len(out) - 1
		switch {
		case known && old[i] == in && last >= 0 && out[last].N > 0 && out[last].From+out[last].N == i:
			out[last].N++
		case known && old[i] == in:
			out, kept = append(out, instanceRun{From: i, N: 1}), true
		case last >= 0 && out[last].N == 0:
			out[last].New = append(out[last].New, in)
		default:
			out = append(out, instanceRun{New: []api.Instance{in}})
		}
	}
	if !kept {
		return nil
	}
	return out
}

// apply makes the whole transition of the change, and does as that does.
func (d *rolloutChange) apply(c *change) error {
	old := c.t.rollouts.get(c.txn, d.ID)
	if old == nil {
		return api.Errorf(api.CodeNotFound, "rollout %q does not exist", d.ID)
	}
	t := &RolloutTransition{Kind: d.Kind, Expect: d.Expect, Rollout: *old}
	if err := t.checkNow(c, old); err != nil {
		return err // before the change is put on top of a rollout that it was not made for
	}
	if err := d.on(&t.Rollout); err != nil {
		return api.Errorf(api.CodeInvalid, "rollout %s: read change: %v", d.ID, err)
	}
	return t.apply(c)
}

// on changes a rollout, which shares what stays the same with the former one.
func (d *rolloutChange) on(r *api.Rollout) error {
	known := 0
	to := reflect.ValueOf(r).Elem()
	for i := range to.NumField() {
		raw, ok := d.Fields[jsonName(to.Type().Field(i))]
		if !ok {
			continue
		}
		known++
		fresh := reflect.New(to.Field(i).Type()) // never into memory that the former rollout has too
		if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
			return err
		}
		to.Field(i).Set(fresh.Elem())
	}
	if known != len(d.Fields) {
		return fmt.Errorf("it has %d fields of which a rollout knows %d", len(d.Fields), known)
	}
	if r.ID != d.ID {
		return fmt.Errorf("its ID is %q in one place and %q in the other", d.ID, r.ID)
	}
	if len(d.Runs) == 0 {
		return nil
	}
	var out []api.Instance
	for _, run := range d.Runs {
		switch {
		case run.N == 0:
			out = append(out, run.New...)
		case run.From < 0 || run.N < 0 || run.From > len(r.Instances) || run.N > len(r.Instances)-run.From:
			return fmt.Errorf("it keeps instances %d to %d of %d", run.From, run.From+run.N, len(r.Instances))
		default:
			out = append(out, r.Instances[run.From:run.From+run.N]...)
		}
		if len(out) > maxInstances {
			return fmt.Errorf("it has more than %d instances", maxInstances)
		}
	}
	r.Instances = out
	return nil
}

// maxInstances bounds what a change may blow a rollout up to: ten times the
// largest group in a region of 100,000 instances.
const maxInstances = 1_000_000
