package audit

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"
)

// logOf seals entries, and returns their lines and the head.
func logOf(t must.T, names ...string) (lines [][]byte, head string) {
	t.Helper()
	var c Chain
	for _, name := range names {
		line, next, err := c.Seal(Entry{Server: "a", Kind: KindRequest, ID: name, Request: &Request{Method: "GET", Route: "/v1/" + name, Remote: "127.0.0.1:1"}})
		must.NoError(t, err)
		lines, c = append(lines, line), next
	}
	return lines, c.Head
}

func text(name string, text []byte) File {
	return File{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
}

func verify(known Known, parts ...[]byte) (Report, error) {
	var files []File
	for i, p := range parts {
		files = append(files, text("part"+strconv.Itoa(i), p))
	}
	return Verify(files, known)
}

func TestVerify_ReadsPartsInAnyOrder(t *testing.T) {
	lines, head := logOf(t, "a", "b", "c", "d", "e")
	first, second := bytes.Join(lines[:2], nil), bytes.Join(lines[2:], nil)
	want := Report{Entries: 5, First: 1, Last: 5, Head: head}
	for _, parts := range [][][]byte{{first, second}, {second, first}} {
		have, err := verify(Known{Head: head}, parts...)
		must.NoError(t, err)
		must.Eq(t, want, have)
	}
}

func TestVerify_NamesTheFirstFault(t *testing.T) {
	lines, head := logOf(t, "a", "b", "c", "d")
	other, _ := logOf(t, "a", "x", "c", "d")
	all := bytes.Join(lines, nil)
	for name, tc := range map[string]struct {
		text  []byte
		known Known
		want  string
	}{
		"altered":                 {bytes.Replace(all, []byte("/v1/b"), []byte("/v1/x"), 1), Known{}, "part0:2: altered"},
		"removed":                 {bytes.Join([][]byte{lines[0], lines[2], lines[3]}, nil), Known{}, "part0:2: out of sequence: it is entry 3, and 2 was expected: 1 removed or moved"},
		"first removed":           {bytes.Join(lines[1:], nil), Known{}, "part0:1: out of sequence: it is entry 2, and 1 was expected"},
		"moved":                   {bytes.Join([][]byte{lines[0], lines[2], lines[1], lines[3]}, nil), Known{}, "part0:2: out of sequence"},
		"repeated":                {bytes.Join([][]byte{lines[0], lines[1], lines[1]}, nil), Known{}, "part0:3: out of sequence: it is entry 2, and 3 was expected: it was moved or repeated"},
		"sealed anew":             {bytes.Join([][]byte{lines[0], other[1], lines[2], lines[3]}, nil), Known{}, "part0:3: not the successor of entry 2"},
		"cut in a line":           {all[:len(all)-9], Known{}, "part0:4: cut"},
		"end removed":             {bytes.Join(lines[:3], nil), Known{Head: head}, "part0:3: the log ends here"},
		"blank line":              {bytes.Join([][]byte{lines[0], []byte("\n"), lines[1]}, nil), Known{}, "part0:2: no entry"},
		"foreign line":            {append([]byte("hello\n"), all...), Known{}, "part0:1: no entry"},
		"no end of line in sight": {bytes.Repeat([]byte("x"), lineMax+2), Known{}, "part0:1: no entry of an audit log: longer than"},
		"empty":                   {nil, Known{}, "part0:1: empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify(tc.known, tc.text)
			fault, ok := errors.AsType[*Fault](err)
			must.True(t, ok, must.Sprintf("%v", err))
			must.StrHasPrefix(t, tc.want, fault.Error())
		})
	}
}

func TestVerify_TakesAPartialLogWhereItIsKnownToBeOne(t *testing.T) {
	lines, head := logOf(t, "a", "b", "c")
	have, err := verify(Known{Partial: true}, bytes.Join(lines[1:], nil))
	must.NoError(t, err)
	must.Eq(t, Report{Entries: 2, First: 2, Last: 3, Head: head}, have)
}

func TestVerify_AcceptsAnEarlierHead(t *testing.T) {
	lines, _ := logOf(t, "a", "b", "c")
	_, second, err := Open(bytes.TrimSpace(lines[1]))
	must.NoError(t, err)
	_, err = verify(Known{Head: second.Head}, bytes.Join(lines, nil))
	must.NoError(t, err)
}

// TestVerify_FindsAnyChange changes one byte, or one line, of a log in one or two parts.
func TestVerify_FindsAnyChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[a-z"\\é ]{0,12}`), 2, 8).Draw(t, "names")
		lines, head := logOf(t, names...)
		at := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		with := func(changed ...[]byte) [][]byte {
			return append(append(append([][]byte{}, lines[:at]...), changed...), lines[at+1:]...)
		}
		var changed [][]byte
		change := rapid.SampledFrom([]string{"byte", "remove", "repeat", "swap", "insert", "cut"}).Draw(t, "change")
		switch change {
		case "byte":
			line := bytes.Clone(lines[at])
			line[rapid.IntRange(0, len(line)-1).Draw(t, "byte")] ^= rapid.ByteRange(1, 255).Draw(t, "bits")
			changed = with(line)
		case "remove":
			changed = with()
		case "repeat":
			changed = with(lines[at], lines[at])
		case "swap":
			to := (at + rapid.IntRange(1, len(lines)-1).Draw(t, "by")) % len(lines)
			changed = with(lines[at])
			changed[at], changed[to] = changed[to], changed[at]
		case "insert":
			changed = with(lines[at], []byte(rapid.StringMatching(`[a-z{}":]{0,20}`).Draw(t, "text")+"\n"))
		case "cut":
			line := lines[at]
			changed = append(append([][]byte{}, lines[:at]...), line[:rapid.IntRange(0, len(line)-1).Draw(t, "length")])
		}
		split := len(changed)
		if change != "swap" { // two parts of a line each may be given in any order
			split = rapid.IntRange(0, len(changed)).Draw(t, "split")
		}
		_, err := verify(Known{Head: head}, bytes.Join(changed[:split], nil), bytes.Join(changed[split:], nil))
		_, found := errors.AsType[*Fault](err)
		if !found {
			t.Fatalf("not found: %v", err)
		}
	})
}

// FuzzVerify holds the verifier to two promises: no input makes it panic, and what it
// accepts can't be changed by a byte without its noticing.
func FuzzVerify(f *testing.F) {
	lines, _ := logOf(f, "a", "b")
	f.Add(bytes.Join(lines, nil), uint(7), byte(1))
	f.Add([]byte("{}\n"), uint(0), byte(9))
	f.Add([]byte(strings.Repeat("{", 200)+hashOpens), uint(3), byte(1))
	f.Fuzz(func(t *testing.T, log []byte, at uint, bits byte) {
		report, err := verify(Known{}, log)
		if err != nil || bits == 0 {
			return
		}
		changed := bytes.Clone(log)
		changed[at%uint(len(changed))] ^= bits
		_, err = verify(Known{Head: report.Head}, changed)
		must.Error(t, err)
	})
}

func BenchmarkVerify(b *testing.B) {
	names := make([]string, 1000)
	lines, _ := logOf(b, names...)
	log := bytes.Join(lines, nil)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		_, err := verify(Known{}, log)
		must.NoError(b, err)
	}
}
