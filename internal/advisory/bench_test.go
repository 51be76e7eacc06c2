package advisory_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

// BenchmarkAffected compares 400 images of 500 packages each, 200,000 packages, with
// 1,000 advisories, each about a source package for three releases. The index of each
// image is made anew.
func BenchmarkAffected(b *testing.B) {
	const images, packages, advisories = 400, 500, 1000
	list := make([]api.Inventory, images)
	for i := range list {
		list[i].Source = fmt.Sprintf("image-%d", i)
		for j := range packages {
			list[i].Packages = append(list[i].Packages, api.Package{
				Ecosystem: "deb", Release: fmt.Sprintf("Debian:%d", 10+i%4), Name: fmt.Sprintf("lib%d", (i*7+j)%2000),
				Source: fmt.Sprintf("source%d", (i*7+j)%1500), Version: fmt.Sprintf("1:%d.%d-1+deb%du1", j%5, i%20, 10+i%4), Arch: "amd64",
			})
		}
	}
	all := make([]advisory.Advisory, advisories)
	for i := range all {
		a, err := advisory.ParseOSV("x", fmt.Appendf(nil, `{"id":"DSA-%d","affected":[%s,%s,%s]}`, i, debian(i, 11), debian(i, 12), debian(i, 13)))
		must.NoError(b, err)
		all[i] = a
	}
	o := advisory.Options{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	hits := 0
	for b.Loop() {
		hits = 0
		for i := range list {
			index := advisory.NewIndex(list[i])
			for j := range all {
				if have := all[j].Assess(index, o); have.Status == api.AssessmentAffected {
					hits++
				}
			}
		}
	}
	must.Positive(b, hits)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(hits), "affected")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
	b.ReportMetric(float64(m.HeapSys)/(1<<20), "heap-MiB")
	b.ReportAllocs()
}

func debian(i, release int) string {
	return fmt.Sprintf(`{"package":{"ecosystem":"Debian:%d","name":"source%d"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:3.%d-1+deb%du1"}]}]}`, release, i, i%20, release)
}
