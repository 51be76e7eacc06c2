// Package readback makes of a value what somebody else reads from its JSON, without reading
// JSON. The leader of a cluster applies what it has encoded; a decoder that it waits for
// costs it more than all the rest of a command.
//
// What JSON keeps as it is, readback copies. What JSON changes, such as a slice that is
// empty and left out, or a reading of the monotonic clock, it changes alike. A value whose
// type reads and writes itself, or that JSON has rules of its own for, is really written
// and read, that value alone.
package readback

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/oakumhq/oakum/api"
)

// Reader reads values back. What there is to do for a type is found out once. The zero
// Reader is ready, and may be used from several goroutines.
type Reader struct {
	mu    sync.Mutex
	known map[reflect.Type]reread
}

// reread makes of a settable value what its JSON reads as, in memory that the former
// value has no part in. Nil means that assigning the value has done all of it. The
// value has been written as JSON before, so that there is JSON of it.
type reread func(reflect.Value) error

// Of returns a pointer to what decoding the JSON of *v gives, for a pointer v to what
// encoding/json has encoded. The two share no memory that can change. The error says that
// only the decoder can tell: then *v is to be decoded with all that surrounds it.
func (r *Reader) Of(v any) (any, error) {
	out := reflect.New(reflect.TypeOf(v).Elem())
	out.Elem().Set(reflect.ValueOf(v).Elem())
	if read := r.reread(out.Type().Elem()); read != nil {
		if err := read(out.Elem()); err != nil {
			return nil, fmt.Errorf("read back: %w", err)
		}
	}
	return out.Interface(), nil
}

func (r *Reader) reread(t reflect.Type) reread {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[reflect.Type]reread{}
	}
	return r.find(t)
}

// find returns how values of the type are read. A type that holds itself is written and
// read where it does, so that the copied part of a value nests no deeper than its types do.
func (r *Reader) find(t reflect.Type) reread {
	read, ok := r.known[t]
	if !ok {
		r.known[t] = readThrough
		read = r.make(t)
		r.known[t] = read
	}
	return read
}

func (r *Reader) make(t reflect.Type) reread {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return readTime
	case t == reflect.TypeFor[json.RawMessage]():
		return readRaw
	case t == reflect.TypeFor[api.Duration]():
		return nil // its text is exact
	case writesByPointer(t):
		return unlikeAlone
	case speaksForItself(t), t == reflect.TypeFor[json.Number]():
		return readThrough
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return nil
	case reflect.String:
		return readString
	case reflect.Pointer:
		return r.pointer(t)
	case reflect.Slice:
		return r.slice(t)
	case reflect.Map:
		return r.mapping(t)
	case reflect.Struct:
		return r.structure(t)
	default: // an interface has the types that JSON chooses
		return readThrough
	}
}

// speaksForItself reports whether a type has a say in its JSON.
func speaksForItself(t reflect.Type) bool {
	return slices.ContainsFunc([]reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}, reflect.PointerTo(t).Implements)
}

// writesByPointer reports whether only the pointer to a type has a say in how it is
// written.
func writesByPointer(t reflect.Type) bool {
	return slices.ContainsFunc([]reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()}, func(writer reflect.Type) bool {
		return reflect.PointerTo(t).Implements(writer) && !t.Implements(writer)
	})
}

// unlikeAlone leaves a value to the decoder. JSON asks the pointer to it only where the
// whole has one, such as in a slice and not in a map, and the part does not show that.
func unlikeAlone(v reflect.Value) error {
	return fmt.Errorf("%s writes itself by its pointer only", v.Type())
}

// readThrough writes a value and reads it again.
func readThrough(v reflect.Value) error {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return err
	}
	fresh := reflect.New(v.Type())
	if err := json.Unmarshal(text, fresh.Interface()); err != nil {
		return err
	}
	v.Set(fresh.Elem())
	return shallow(text)
}

// readTime keeps a time of UTC, without the reading of the monotonic clock. Any other
// reads as one of the server's own zone, or of a zone without a name.
func readTime(v reflect.Value) error {
	t, ok := reflect.TypeAssert[*time.Time](v.Addr())
	if !ok || t.Location() != time.UTC {
		return readThrough(v)
	}
	*t = t.Round(0)
	return nil
}

// readRaw makes of JSON what writing makes of it, which is what is read.
func readRaw(v reflect.Value) error {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return err
	}
	v.SetBytes(text)
	return shallow(text)
}

// MaxNested is the most brackets that raw JSON and the like may open: the decoder refuses
// what nests more than 10,000 deep, and the part alone does not show how deep it is in the
// whole.
const MaxNested = 9_000

func shallow(text []byte) error {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) > MaxNested {
		return errors.New("it may nest too deep")
	}
	return nil
}

// readString has invalid UTF-8 replaced.
func readString(v reflect.Value) error {
	if utf8.ValidString(v.String()) {
		return nil
	}
	return readThrough(v)
}

// pointer reads what a pointer points to. One that points to what may itself be null
// reads as nil when that is.
func (r *Reader) pointer(t reflect.Type) reread {
	if nillable(t.Elem()) {
		return readThrough
	}
	read := r.find(t.Elem())
	return func(v reflect.Value) error {
		if v.IsNil() {
			return nil
		}
		fresh := reflect.New(t.Elem())
		fresh.Elem().Set(v.Elem())
		v.Set(fresh)
		if read == nil {
			return nil
		}
		return read(fresh.Elem())
	}
}

func (r *Reader) slice(t reflect.Type) reread {
	read := r.find(t.Elem())
	return func(v reflect.Value) error {
		if v.IsNil() {
			return nil
		}
		fresh := reflect.MakeSlice(t, v.Len(), v.Len())
		reflect.Copy(fresh, v)
		v.Set(fresh)
		if read == nil {
			return nil
		}
		for i := range fresh.Len() {
			if err := read(fresh.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}
}

// mapping reads maps with strings for keys. Keys that are no valid UTF-8 may become one.
func (r *Reader) mapping(t reflect.Type) reread {
	if t.Key().Kind() != reflect.String || speaksForItself(t.Key()) {
		return readThrough
	}
	read := r.find(t.Elem())
	return func(v reflect.Value) error {
		if v.IsNil() {
			return nil
		}
		fresh := reflect.MakeMapWithSize(t, v.Len())
		for entries := v.MapRange(); entries.Next(); {
			if !utf8.ValidString(entries.Key().String()) {
				return readThrough(v)
			}
			value := reflect.New(t.Elem()).Elem()
			value.Set(entries.Value())
			if read != nil {
				if err := read(value); err != nil {
					return err
				}
			}
			fresh.SetMapIndex(entries.Key(), value)
		}
		v.Set(fresh)
		return nil
	}
}

// member is how one field of a struct is read.
type member struct {
	index     int
	read      reread
	never     bool // it is not written
	omitEmpty bool
	omitZero  bool
}

// structure reads structs whose fields JSON takes one by one.
func (r *Reader) structure(t reflect.Type) reread {
	if !plain(t, map[string]bool{}) {
		return readThrough
	}
	var members []member
	for i := range t.NumField() {
		f := t.Field(i)
		_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		m := member{index: i, never: f.Tag.Get("json") == "-", read: r.find(f.Type), omitEmpty: has(options, "omitempty"), omitZero: has(options, "omitzero")}
		if m.read != nil || m.never || m.omitEmpty || m.omitZero {
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return nil
	}
	return func(v reflect.Value) error {
		for _, m := range members {
			if err := m.from(v.Field(m.index)); err != nil {
				return fmt.Errorf("%s.%s: %w", t.Name(), t.Field(m.index).Name, err)
			}
		}
		return nil
	}
}

// from reads the field of one struct. A field that is left out reads as nothing.
func (m member) from(v reflect.Value) error {
	switch {
	case m.never, m.omitEmpty && empty(v), m.omitZero && zero(v):
		v.SetZero()
		return nil
	case m.read == nil:
		return nil
	}
	return m.read(v)
}

// empty reports what omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String, reflect.Slice, reflect.Map, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	case reflect.Float32, reflect.Float64:
		return v.Float() == 0 // minus zero too
	default:
		return v.IsZero()
	}
}

// zero reports what omitzero leaves out.
func zero(v reflect.Value) bool {
	if asked, ok := reflect.TypeAssert[interface{ IsZero() bool }](v.Addr()); ok {
		return asked.IsZero()
	}
	return v.IsZero()
}

// nillable reports whether a type has values that are null in JSON, or that point to some
// that are. One that writes itself may write that.
func nillable(t reflect.Type) bool {
	if speaksForItself(t) && t != reflect.TypeFor[time.Time]() && t != reflect.TypeFor[api.Duration]() {
		return true
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	default:
		return false
	}
}

// has reports whether an option is in a field's tag.
func has(options, option string) bool {
	return slices.Contains(strings.Split(options, ","), option)
}

// plain reports whether JSON writes every field of a struct, and of those embedded in it,
// under a name of its own and in the usual way.
func plain(t reflect.Type, names map[string]bool) bool {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			if f.Type.Kind() != reflect.Struct || !f.IsExported() || speaksForItself(f.Type) || !plain(f.Type, names) {
				return false
			}
			continue
		}
		if f.Tag.Get("json") == "-" && f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if !f.IsExported() || names[name] || has(options, "string") || (has(options, "omitzero") && nillable(f.Type)) {
			return false
		}
		names[name] = true
	}
	return true
}
