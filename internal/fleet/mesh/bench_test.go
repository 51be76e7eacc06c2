package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/oakumhq/oakum/internal/fleet"
)

// BenchmarkLarge reads the catalog of 20,000 services with 100,000 instances, each
// with a sidecar.
func BenchmarkLarge(b *testing.B) {
	f := fleet.New(1, start())
	for range 1000 {
		f.AddNode(fleet.Node{CPU: 100_000, MemoryMB: 200_000})
	}
	m := New(f)
	for i := range 20_000 {
		j := web(5, "web:1")
		j.ID = fmt.Sprintf("web-%05d", i)
		j.Groups[0].Services[0].Name = j.ID
		if _, err := f.Register(j, false, 0); err != nil {
			b.Fatal(err)
		}
	}
	f.Advance(start().Add(time.Hour))
	for name, read := range map[string]func() int{
		"services": func() int { return len(m.Services()) / 2 },
		"service":  func() int { return len(m.Registrations("web-00077")) * 4000 },
		"checks":   func() int { return len(m.AllChecks()) / 10 },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n := read(); n < 19_000 {
					b.Fatalf("%s: %d", name, n)
				}
			}
		})
	}
}
