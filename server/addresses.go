package server

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
)

const (
	// addressesRest is for how long the addresses of allocations are not read again. Each
	// time costs a question to Consul for each of its services.
	addressesRest = 30 * time.Second
	// addressesLeast is for how long they are not, even for an allocation that is not known
	// yet: each look at a stage asks for those that began with it.
	addressesLeast = 5 * time.Second
)

// addressBook knows where allocations are scraped, by the registrations that Nomad and
// Consul have of them. It is safe for concurrent use.
type addressBook struct {
	read func(context.Context) (all []convention.Instance, missing []string, err error)
	log  *slog.Logger

	mu    sync.Mutex
	at    time.Time         // when they were read; zero before
	of    map[string]string // allocation by address
	known map[string]bool   // allocations that have an address
}

var _ kpi.Addresses = (*addressBook)(nil)

// Addresses returns the allocations by their addresses.
func (b *addressBook) Addresses(ctx context.Context, ids []string) (map[string]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := addressesRest
	for _, id := range ids {
		if !b.known[id] {
			rest = addressesLeast
		}
	}
	if !b.at.IsZero() && time.Since(b.at) < rest {
		return b.of, nil
	}
	all, missing, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 { // an allocation without an address has no series, and is named then
		b.log.Warn("read the addresses of allocations", "missing", strings.Join(missing, "; "))
	}
	b.at, b.of, b.known = time.Now(), convention.NewInstances(all).Addresses(), map[string]bool{}
	for _, id := range b.of {
		b.known[id] = true
	}
	return b.of, nil
}
