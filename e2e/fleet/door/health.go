package door

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// Host is where everything of the fleet is reached.
	Host = "127.0.0.1"
	// Datacenter is Consul's only one.
	Datacenter = "dc1"
)

// Fault is a fault of an API. The zero value is none.
type Fault struct {
	Away bool          // connections break
	Slow time.Duration // every answer takes so long
	// Stale is for how long the API has heard nothing new: Nomad and Consul of no
	// leader, Prometheus of no instance.
	Stale time.Duration
	// Hidden are services of which Consul and Prometheus have nothing. Their
	// answers say that something is left out.
	Hidden []string
}

// Health is the health of one API, which may change at any time. It is safe for
// concurrent use.
type Health struct {
	mu    sync.Mutex
	fault Fault
}

// SetFault sets the API's fault from now on.
func (h *Health) SetFault(f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = f
}

// Fault returns the API's present fault.
func (h *Health) Fault() Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fault
}

// WithFault breaks connections while the API is away, and delays answers while it is
// slow.
func (h *Health) WithFault(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := h.Fault()
		if fault.Away {
			panic(http.ErrAbortHandler) //nolint:forbidigo // it is how a handler tells net/http to close the connection
		}
		if pause(r.Context(), fault.Slow) {
			next.ServeHTTP(w, r)
		}
	})
}

// Led refuses consistent reads, default reads and writes while there is no leader.
// It lets stale reads pass.
func (h *Health) Led(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Fault().Stale > 0 && !r.URL.Query().Has("stale") {
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// pause waits, and reports whether the caller still does.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Reply answers with JSON, or with nothing.
func Reply(w http.ResponseWriter, body any) {
	if body == nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a caller that has gone has its own error
}
