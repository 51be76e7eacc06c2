package rehearsal

import (
	"runtime/debug"
	"testing"

	"github.com/shoenig/test/must"
)

// BenchmarkRehearse plays a plan of fifty targets of ten instances each with a
// hundred seeds, a harmless patch and every bad one.
func BenchmarkRehearse(b *testing.B) {
	facts, p := someFacts(b, 50, 10), patch(b, `target { jobs = ["*"] }`)
	defer debug.SetGCPercent(debug.SetGCPercent(Collect)) // as the command does
	for b.Loop() {
		out, err := Run(b.Context(), facts, p, Options{})
		must.NoError(b, err)
		must.Positive(b, out.Harmless.Complete.Count)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
}
