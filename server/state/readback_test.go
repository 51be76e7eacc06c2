package state

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/oakumhq/oakum/server/state/readback"
	"github.com/shoenig/test/must"
	"pgregory.net/rapid"
)

// TestReadback holds that the leader applies what the other servers decode, bit by bit,
// for any content of any command.
func TestReadback(t *testing.T) {
	t.Parallel()
	fsm := NewFSM(NewStore())
	for kind := Type(1); newCommand(kind) != nil; kind++ {
		t.Run(fmt.Sprintf("%T", newCommand(kind)), func(t *testing.T) {
			t.Parallel()
			read := 0
			rapid.Check(t, func(t *rapid.T) {
				cmd := newCommand(kind)
				fill(t, reflect.ValueOf(cmd).Elem(), 0)
				if readsAlike(t, fsm, cmd, rapid.IntRange(1, levels.Supported).Draw(t, "level"), rapid.SampledFrom(odd).Draw(t, "by")) {
					read++
				}
			})
			must.Positive(t, read)
		})
	}
}

// TestReadback_OfTheCorpus reads back what released versions wrote.
func TestReadback_OfTheCorpus(t *testing.T) {
	t.Parallel()
	fsm := NewFSM(NewStore())
	for _, file := range corpusFiles(t, "commands") {
		for level := 1; level <= levels.Supported; level++ {
			if _, cmd, err := decode(file); err == nil {
				must.True(t, readsAlike(t, fsm, cmd, level, "ada"))
			}
		}
	}
}

// FuzzReadback does as TestReadback does with whatever decodes.
func FuzzReadback(f *testing.F) {
	for _, file := range corpusFiles(f, "commands") {
		f.Add(file)
	}
	fsm := NewFSM(NewStore())
	f.Fuzz(func(t *testing.T, entry []byte) {
		for _, level := range []int{1, levels.Supported} {
			if env, cmd, err := decode(entry); err == nil {
				readsAlike(t, fsm, cmd, level, env.By)
			}
		}
	})
}

// TestReadback_LeavesWhatMayNestTooDeepToTheDecoder, which refuses an entry for what its
// parts don't show.
func TestReadback_LeavesWhatMayNestTooDeepToTheDecoder(t *testing.T) {
	t.Parallel()
	fsm := NewFSM(NewStore())
	for depth, read := range map[int]bool{readback.MaxNested: true, 9_999: false} {
		deep := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		r := api.Rollout{ID: "r", Former: &api.FormerJob{Job: json.RawMessage(deep)}}
		entry, err := entryAt(levels.Supported, &RolloutTransition{Rollout: r}, time.Unix(1e9, 0), "ada")
		must.NoError(t, err)
		_, _, refused := decode(entry.Data)
		must.EqOp(t, read, refused == nil)
		_, err = fsm.readBack(entry)
		must.EqOp(t, read, err == nil)
	}
}

// readsAlike holds that reading a command back gives what decoding its entry gives, and
// shares nothing with the command. It returns false for one that can't be encoded.
func readsAlike(t must.T, fsm *FSM, cmd Command, level int, by string) bool {
	t.Helper()
	entry, err := entryAt(level, cmd, time.Now(), by)
	if err != nil {
		return false
	}
	env, want, err := decode(entry.Data)
	must.NoError(t, err)
	env.Pack = "" // how the entry was packed is of no use once it was read
	have, err := fsm.readBack(entry)
	must.NoError(t, err)
	must.True(t, reflect.DeepEqual(env, have.env), must.Sprintf("want %#v\nhave %#v", env, have.env))
	must.True(t, reflect.DeepEqual(want, have.cmd), must.Sprintf("want %#v\nhave %#v", want, have.cmd))
	wipe(reflect.ValueOf(cmd).Elem())
	must.True(t, reflect.DeepEqual(want, have.cmd), must.Sprint("it shares memory with the command"))
	return true
}

// odd are texts that JSON does not keep as they are, and some that it does.
var odd = []string{"", "a", "b", "\xff\xfe", "a\xff", "a\xfe", "<&>\u2028\x00", "\ufffd", "Grüße"}

// fill draws the content of a value.
func fill(t *rapid.T, v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(rapid.SampledFrom([]time.Time{
			{}, time.Time{}.Local(), time.Now(), time.Now().UTC(), time.Unix(1e9, 5).UTC(), time.Unix(1e9, 5),
			time.Unix(-1e10, 1).In(time.FixedZone("odd", 3601)), time.Unix(1e9, 0).In(time.FixedZone("", -7200)), time.Unix(0, 0).In(time.FixedZone("", 0)),
		}).Draw(t, "time")))
		return
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes(rapid.SampledFrom([][]byte{nil, []byte("null"), []byte(` {"a" : [1, "<\u2028>"], "a":2}`), []byte(`"` + "\xff" + `"`), []byte("1.50")}).Draw(t, "raw"))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		least := int64(math.MinInt64) >> (64 - v.Type().Bits())
		v.SetInt(rapid.SampledFrom([]int64{0, 1, -1, least, ^least}).Draw(t, "int"))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.SampledFrom([]uint64{0, 1, uint64(math.MaxUint64) >> (64 - v.Type().Bits())}).Draw(t, "uint"))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 0.1, -1e300, math.SmallestNonzeroFloat64, 1 << 62}).Draw(t, "float"))
	case reflect.String:
		v.SetString(rapid.SampledFrom(odd).Draw(t, "string"))
	case reflect.Interface:
		drawn := rapid.SampledFrom([]any{
			1, 2.5, "a\xff", nil, true, []any{}, []string(nil), map[string]any{"a": nil, "b\xff": []any{int64(7)}}, time.Unix(1e9, 0),
		}).Draw(t, "any")
		if drawn != nil {
			v.Set(reflect.ValueOf(drawn))
		}
	default:
		fillMany(t, v, depth)
	}
}

// fillMany draws the content of a value that is made of others.
func fillMany(t *rapid.T, v reflect.Value, depth int) {
	many := func() int { return rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "many") }
	isNil := func() bool { return depth > 12 || rapid.IntRange(0, 2).Draw(t, "nil") == 0 }
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(t, f, depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), depth+1)
		}
	case reflect.Pointer:
		if !isNil() {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if !isNil() {
			n := many()
			v.Set(reflect.MakeSlice(v.Type(), n, n+1))
			for i := range n {
				fill(t, v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if !isNil() {
			v.Set(reflect.MakeMap(v.Type()))
			for range many() {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(t, key, depth+1)
				fill(t, value, depth+1)
				v.SetMapIndex(key, value)
			}
		}
	default:
		t.Fatalf("no values of %s are drawn", v.Type())
	}
}

// wipe clears all memory that a value refers to.
func wipe(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			wipe(v.Elem())
			v.Elem().SetZero()
		}
	case reflect.Slice:
		for i := range v.Len() {
			wipe(v.Index(i))
			v.Index(i).SetZero()
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if e := v.MapIndex(key); e.Kind() == reflect.Slice || e.Kind() == reflect.Pointer || e.Kind() == reflect.Map {
				wipe(e)
			}
		}
		v.Clear()
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for _, f := range v.Fields() {
				wipe(f)
			}
		}
	default:
	}
}
