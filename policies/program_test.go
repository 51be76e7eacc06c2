package policies_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

const loadProgramPolicy = `policy "%s" {
  specificity = %d
  simulate {
    workload {
      command = "wrk"
      args    = ["-t2", "$OAKUM_TARGET/"]
      image   = "wrk:1"
      env     = { LEVEL = "info" }
      memory  = 64
    }
  }
}
`

func TestDecide_TakesTheLoadProgramOfTheMostSpecificPolicy(t *testing.T) {
	t.Parallel()
	replay := "policy \"replay\" {\n  specificity = %d\n  simulate { workload = \"replay\" }\n}\n"
	for name, c := range map[string]struct{ program, replay int }{"program": {2, 1}, "replay": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := api.SourceFile{Name: "a.hcl", Text: fmt.Sprintf(loadProgramPolicy, "wrk", c.program) + fmt.Sprintf(replay, c.replay)}
			lib, diags := policies.Load(append(policies.Builtin(), file), schemas)
			must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
			decision, err := lib.Decide(facts())
			must.NoError(t, err)
			must.EqOp(t, name, decision.Simulate.Workload)
			if name == "replay" {
				must.Nil(t, decision.Simulate.Program)
				must.EqOp(t, "replay", because(t, decision, "simulate.workload").Policy)
				return
			}
			must.Eq(t, &api.LoadProgram{
				Command: "wrk", Args: []string{"-t2", "$OAKUM_TARGET/"}, Image: "wrk:1", Env: map[string]string{"LEVEL": "info"}, Memory: 64,
			}, decision.Simulate.Program)
			because := because(t, decision, "simulate.workload")
			must.EqOp(t, "wrk", because.Policy)
			must.EqOp(t, "load program wrk", because.Reason)
		})
	}
}

func TestParse_SaysWhatIsWrongWithALoadProgram(t *testing.T) {
	t.Parallel()
	for simulate, want := range map[string]string{
		"workload {}":                                                                       `Missing argument; workload needs the argument "command"`,
		`workload { command = " " }`:                                                        "want a text that is not empty",
		`workload { command = target.job }`:                                                 "target",
		`workload "k6" { command = "k6" }`:                                                  "Too many labels; workload takes no label.",
		"workload {\ncommand = \"k6\"\nx {}\n}":                                             "Unknown block",
		"workload = \"replay\"\nworkload { command = \"k6\" }":                              "Two workloads",
		"workload { command = \"k6\" }\nworkload { command = \"ab\" }":                      "Duplicate name",
		"workload {\ncommand = \"k6\"\nmemory = 8\n}":                                       "memory = 8",
		"workload {\ncommand = \"k6\"\nenv = { NOMAD_X = \"1\" }\n}":                        "NOMAD_X is set by Nomad",
		"workload {\ncommand = \"k6\"\nargs = [\"" + strings.Repeat("a", 16<<10) + "\"]\n}": "16386 bytes are more than 16384",
	} {
		_, diags := policies.Load([]api.SourceFile{{Name: "a.hcl", Text: "policy \"p\" {\n  simulate {\n    " + simulate + "\n  }\n}\n"}}, schemas)
		err := policies.DiagnosticsError(diags, nil)
		must.NotNil(t, err, must.Sprint(simulate))
		must.StrContains(t, fmt.Sprint(err, err.Details), want)
	}
}
