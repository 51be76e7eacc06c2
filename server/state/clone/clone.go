// Package clone makes deep copies of the rows of the replicated state, so that a reader may
// change and keep what it was given. It is pure and knows no type of row. What a row
// refers to must be in exported fields.
package clone

import (
	"reflect"
	"time"
)

// Copier makes deep copies of values of one type. What there is to copy is
// found out once, because reads copy every row that they return.
type Copier[T any] struct{ deepen deepener }

// deepener replaces everything that a settable value refers to by a copy; nil
// means that assigning the value has copied all of it.
type deepener func(reflect.Value)

// New returns what copies values of a type.
func New[T any]() Copier[T] {
	return Copier[T]{(&copying{known: map[reflect.Type]*deepener{}}).of(reflect.TypeFor[T]())}
}

// Copy returns a copy of v that shares no memory with it, so that a reader can
// change and keep what it was given.
func (c Copier[T]) Copy(v *T) T {
	out := new(T)
	*out = *v
	if c.deepen != nil {
		c.deepen(reflect.ValueOf(out).Elem())
	}
	return *out
}

// copying finds out how types are copied.
type copying struct{ known map[reflect.Type]*deepener }

// of returns how values of the type are deepened. Times are values although
// they hold a pointer to their zone.
func (c *copying) of(t reflect.Type) deepener {
	if t == reflect.TypeFor[time.Time]() {
		return nil
	}
	if cell, ok := c.known[t]; ok {
		if *cell != nil {
			return *cell
		}
		return func(v reflect.Value) { // a type that holds itself, or one that is flat
			if *cell != nil {
				(*cell)(v)
			}
		}
	}
	cell := new(deepener)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Struct, reflect.Array:
		c.known[t] = cell
	default:
	}
	*cell = c.make(t)
	if *cell == nil {
		delete(c.known, t) // flat: cheap to find out again, and nil for whoever asks
	}
	return *cell
}

func (c *copying) make(t reflect.Type) deepener {
	switch t.Kind() {
	case reflect.Pointer:
		return deepPointer(t.Elem(), c.of(t.Elem()))
	case reflect.Slice:
		return deepSlice(t, c.of(t.Elem()))
	case reflect.Array:
		return deepArray(c.of(t.Elem()))
	case reflect.Map:
		return deepMap(t, c.of(t.Elem()))
	case reflect.Interface:
		return deepInterface
	case reflect.Struct:
		return c.structure(t)
	default: // numbers, strings and truth values are copied by assignment
		return nil
	}
}

func (c *copying) structure(t reflect.Type) deepener {
	type part struct {
		field  int
		deepen deepener
	}
	var parts []part
	for i := range t.NumField() {
		if deepen := c.of(t.Field(i).Type); deepen != nil {
			parts = append(parts, part{i, deepen})
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return func(v reflect.Value) {
		for _, p := range parts {
			p.deepen(v.Field(p.field))
		}
	}
}

func deepPointer(elem reflect.Type, deepen deepener) deepener {
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		fresh := reflect.New(elem)
		fresh.Elem().Set(v.Elem())
		if deepen != nil {
			deepen(fresh.Elem())
		}
		v.Set(fresh)
	}
}

// deepSlice makes the capacity equal to the length: appending to a copy never
// writes into what another copy sees.
func deepSlice(t reflect.Type, deepen deepener) deepener {
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		fresh := reflect.MakeSlice(t, v.Len(), v.Len())
		reflect.Copy(fresh, v)
		if deepen != nil {
			for i := range fresh.Len() {
				deepen(fresh.Index(i))
			}
		}
		v.Set(fresh)
	}
}

func deepArray(deepen deepener) deepener {
	if deepen == nil {
		return nil
	}
	return func(v reflect.Value) {
		for i := range v.Len() {
			deepen(v.Index(i))
		}
	}
}

func deepMap(t reflect.Type, deepen deepener) deepener {
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		fresh := reflect.MakeMapWithSize(t, v.Len())
		for entries := v.MapRange(); entries.Next(); {
			value := reflect.New(t.Elem()).Elem()
			value.Set(entries.Value())
			if deepen != nil {
				deepen(value)
			}
			fresh.SetMapIndex(entries.Key(), value)
		}
		v.Set(fresh)
	}
}

// deepInterface copies what came out of JSON: the type is known only now.
func deepInterface(v reflect.Value) {
	if v.IsNil() {
		return
	}
	fresh := reflect.New(v.Elem().Type()).Elem()
	fresh.Set(v.Elem())
	if deepen := (&copying{known: map[reflect.Type]*deepener{}}).of(fresh.Type()); deepen != nil {
		deepen(fresh)
		v.Set(fresh)
	}
}
