package convention

import (
	"fmt"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// Configured is a KPI of the agent's configuration.
type Configured struct {
	KPI  string
	Kind api.KPIKind
	Unit string // of a gauge that Oakum does not know by itself
	Queries
}

// Block writes the part of the agent's configuration that has some KPIs. It is empty
// without any.
func Block(kpis []Configured) string {
	if len(kpis) == 0 {
		return ""
	}
	var out strings.Builder
	out.WriteString("prometheus {\n")
	for n, k := range kpis {
		if n > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "  kpi %q {\n", k.KPI)
		if !known(k.KPI) {
			fmt.Fprintf(&out, "    kind  = %q\n", k.Kind)
			if k.Kind == api.KPIGauge && k.Unit != "" {
				fmt.Fprintf(&out, "    unit  = %q\n", k.Unit)
			}
		}
		promql(&out, "query", k.Query)
		if k.Total != "" {
			promql(&out, "total", k.Total)
		}
		out.WriteString("  }\n")
	}
	out.WriteString("}\n")
	return out.String()
}

// known reports whether Oakum has the kind of a KPI without being told.
func known(name string) bool {
	switch name {
	case api.KPIIOOperations, api.KPIIOBytes, api.KPIPressureCPU, api.KPIPressureMemory, api.KPIPressureIO:
		return true
	}
	_, ok := judge.Known(name)
	return ok
}

// promql writes a query as a heredoc: its quotes and backslashes stay as they are.
func promql(out *strings.Builder, name, query string) {
	query = strings.NewReplacer("${", "$${", "%{", "%%{").Replace(query)
	fmt.Fprintf(out, "    %s = <<-PROMQL\n", name)
	for line := range strings.Lines(query) {
		fmt.Fprintf(out, "      %s\n", strings.TrimRight(line, "\n"))
	}
	out.WriteString("    PROMQL\n")
}
