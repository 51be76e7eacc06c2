package sandbox

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
)

func TestVariables_WriteOutEnds(t *testing.T) {
	vars := variables{"a": strings.Repeat("${b}", 1000), "b": strings.Repeat("${a}", 1000), "loop": "${loop}"}
	must.Eq(t, "${loop}", vars.writeOut("${loop}"))
	// One more step would make it a thousand times as long.
	text := vars.writeOut("${a}")
	must.Greater(t, qemu.ExpandedMax, len(text))
	must.LessEq(t, 1000*qemu.ExpandedMax, len(text))
}
