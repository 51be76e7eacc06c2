package readback_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/server/state/readback"
)

type (
	// tree holds itself.
	tree struct {
		Name string          `json:"name"`
		Kids []tree          `json:"kids,omitempty"`
		By   map[string]tree `json:"by"`
	}
	inner struct {
		Name string   `json:"name"`
		List []string `json:"list,omitempty"`
	}
	hides struct {
		inner        // JSON takes its fields although it is not exported
		Shown string `json:"shown"`
		Never []int  `json:"-"`
		own   int
	}
	// shy has a field that is neither shown nor written.
	shy struct {
		Shown string `json:"shown"`
		own   []int  `json:"-"`
	}
	// shadows has a field under the name of one that is embedded.
	shadows struct {
		Inner
		List []int `json:"list"`
	}
	// Inner can be embedded.
	Inner struct {
		Name string   `json:"name"`
		List []string `json:"list,omitempty"`
	}
	embeds struct {
		Inner
		Other int `json:",omitempty"`
	}
	options struct {
		Text    int         `json:"text,string"`
		Pointer *time.Time  `json:"pointer,omitzero"`
		Time    time.Time   `json:"time,omitzero"`
		Struct  inner       `json:"struct"`
		Array   [2][]string `json:"array,omitempty"`
		Float   float64     `json:"float,omitempty"`
	}
	zeroes struct {
		Time  time.Time `json:"time,omitzero"`
		List  [1]string `json:"list,omitzero"`
		Float float64   `json:"float,omitempty"`
		Exact float64   `json:"exact"`
	}
)

// optional writes null for nothing.
type optional struct{ Text *string }

func (o optional) MarshalJSON() ([]byte, error) { return json.Marshal(o.Text) }

func (o *optional) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &o.Text) }

// loud writes itself where JSON has a pointer to it.
type loud string

func (l *loud) MarshalJSON() ([]byte, error) { return json.Marshal(string(*l) + "!") }

// TestReader_ReadsAsTheDecoder reads types that the state has none of yet.
func TestReader_ReadsAsTheDecoder(t *testing.T) {
	t.Parallel()
	one, none := 1, []int(nil)
	pointer, zone := &none, time.FixedZone("", 3600)
	for name, v := range map[string]any{
		"a type that holds itself":    &tree{Name: "\xff", Kids: []tree{{Kids: []tree{}}}, By: map[string]tree{"a": {Name: "b"}}},
		"fields that are not shown":   &hides{inner: inner{Name: "a", List: []string{}}, Never: []int{1}, own: 3},
		"a field that is never shown": &shy{Shown: "a", own: []int{1}},
		"a pointer to what writes null": &struct {
			P *optional
			L []*optional
		}{new(optional{}), []*optional{{}, {Text: new("a")}, nil}},
		"a pointer that writes itself": &struct{ P, Q *loud }{P: new(loud("a"))},
		"a name that is hidden":        &shadows{Inner: Inner{Name: "a", List: []string{"b"}}, List: []int{}},
		"an embedded struct":           &embeds{Inner: Inner{Name: "a\xff", List: []string{}}},
		"options":                      &options{Text: 1, Pointer: &time.Time{}, Time: time.Time{}.In(zone), Array: [2][]string{{}, nil}, Float: math.Copysign(0, -1)},
		"zeroes":                       &zeroes{Time: time.Time{}.In(zone), Float: math.Copysign(0, -1), Exact: math.Copysign(0, -1)},
		"a pointer to what is null":    &struct{ P **[]int }{&pointer},
		"keys that are numbers":        &map[int]string{1: "a\xff"},
		"keys that become one":         &map[string]int{"\xff": 1, "\xfe": 2},
		"keys that are texts":          &map[netip.Addr]int{netip.AddrFrom4([4]byte{1, 2, 3, 4}): 1},
		"numbers as text":              &[]json.Number{"", "1.50"},
		"any value":                    &[]any{nil, 1, uint8(2), []byte("a"), map[string]any{"a": &one}, time.Unix(1, 0), json.RawMessage(` { } `)},
		"raw JSON that is nil":         &struct{ Raw json.RawMessage }{},
		"bytes":                        &[][]byte{nil, {}, {1, 2}},
		"a pointer that is nil":        &struct{ P *inner }{},
		"a time with a clock":          new(time.Now()),
		"a time of UTC with a clock":   new(time.Now().UTC()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(v)
			must.NoError(t, err)
			want := reflect.New(reflect.TypeOf(v).Elem()).Interface()
			must.NoError(t, json.Unmarshal(text, want))
			var r readback.Reader
			for range 2 { // finding out what to do, and knowing
				have, err := r.Of(v)
				must.NoError(t, err)
				must.True(t, reflect.DeepEqual(want, have), must.Sprintf("%s\nwant %#v\nhave %#v", text, want, have))
			}
		})
	}
}

// TestReader_SaysWhatItCantRead of what no decoder would read either.
func TestReader_SaysWhatItCantRead(t *testing.T) {
	t.Parallel()
	var r readback.Reader
	_, err := r.Of(&struct{ Any any }{math.NaN()})
	must.ErrorContains(t, err, "read back: .Any: json: unsupported value: NaN")
}

// TestReader_LeavesToTheDecoderWhatWritesItselfByItsPointer wherever it is: JSON asks the
// pointer in a slice and not in a map.
func TestReader_LeavesToTheDecoderWhatWritesItselfByItsPointer(t *testing.T) {
	t.Parallel()
	var r readback.Reader
	for _, v := range []any{
		new(loud("a")), &struct{ L loud }{}, &[]loud{"a"}, &map[string]loud{"a": "b"}, &[]struct{ M map[string]loud }{{map[string]loud{"a": "b"}}},
	} {
		_, err := r.Of(v)
		must.ErrorContains(t, err, "loud writes itself by its pointer only", must.Sprintf("%T", v))
	}
}
