package clone_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/server/state/clone"
)

type row struct {
	Name  string
	At    time.Time
	Flat  [2]int
	Deep  [1]*int
	List  []map[string][]int
	Any   any
	Inner *row
	Empty []int
}

func example() row {
	one := 1
	return row{
		Name: "a", At: time.Unix(1, 0), Flat: [2]int{1, 2}, Deep: [1]*int{&one}, List: []map[string][]int{{"k": {1}}},
		Any: map[string]any{"b": []any{1.5}}, Inner: &row{List: []map[string][]int{{"i": {2}}}}, Empty: []int{},
	}
}

// TestCopy_SharesNothing changes all that a copy refers to.
func TestCopy_SharesNothing(t *testing.T) {
	t.Parallel()
	original := example()
	have := clone.New[row]().Copy(&original)
	must.Eq(t, example(), have)
	must.NotNil(t, have.Empty, must.Sprint("empty is not nil"))

	*have.Deep[0] = 9
	have.List[0]["k"][0] = 9
	have.List[0]["new"] = nil
	have.Any.(map[string]any)["b"].([]any)[0] = 9.5
	have.Inner.List[0]["i"][0] = 9
	_ = append(have.List, nil)
	must.Eq(t, example(), original)
}
