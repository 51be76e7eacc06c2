package state

import (
	"reflect"
	"time"
)

// clone returns a copy of v that shares no memory with it, so that a reader can
// change and keep what it was given.
func clone[T any](v *T) T {
	out := *v
	deepen(reflect.ValueOf(&out).Elem())
	return out
}

// deepen replaces everything that v refers to by a copy. Times are values
// although they hold a pointer to their zone.
func deepen(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			deepen(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		if !v.IsNil() {
			// The capacity equals the length: appending to a copy never
			// writes into what another copy sees.
			fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(fresh, v)
			deepenEach(fresh)
			v.Set(fresh)
		}
	case reflect.Array:
		deepenEach(v)
	case reflect.Map:
		if !v.IsNil() {
			v.Set(cloneMap(v))
		}
	case reflect.Interface:
		if !v.IsNil() {
			fresh := reflect.New(v.Elem().Type()).Elem()
			fresh.Set(v.Elem())
			deepen(fresh)
			v.Set(fresh)
		}
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for _, field := range v.Fields() {
				deepen(field)
			}
		}
	default: // numbers, strings and truth values are copied by assignment
	}
}

func deepenEach(list reflect.Value) {
	if flat(list.Type().Elem()) {
		return
	}
	for i := range list.Len() {
		deepen(list.Index(i))
	}
}

func cloneMap(v reflect.Value) reflect.Value {
	fresh := reflect.MakeMapWithSize(v.Type(), v.Len())
	for entries := v.MapRange(); entries.Next(); {
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(entries.Value())
		deepen(value)
		fresh.SetMapIndex(entries.Key(), value)
	}
	return fresh
}

// flat reports whether assigning a value of the type copies all of it.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func:
		return false
	case reflect.Array:
		return flat(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return true
		}
		for field := range t.Fields() {
			if !flat(field.Type) {
				return false
			}
		}
		return true
	default:
		return true
	}
}
