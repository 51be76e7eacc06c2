package rehearsal

import "time"

// behaviour is what a patch does to its instances.
type behaviour struct {
	name    string
	errors  float64       // factor of the error rate
	latency float64       // factor of every latency
	dies    time.Duration // after it became healthy; 0 for never
}

func (b behaviour) bad() bool { return b != harmless() }

// harmless does nothing.
func harmless() behaviour { return behaviour{name: "harmless", errors: 1, latency: 1} }

// badPatches are the harmful patches that a plan is rehearsed with.
func badPatches() []behaviour {
	return []behaviour{
		{name: "2x errors", errors: 2, latency: 1},
		{name: "10x errors", errors: 10, latency: 1},
		{name: "+20 % latency", errors: 1, latency: 1.2},
		{name: "5x latency", errors: 1, latency: 5},
		{name: "crash after 10 min", errors: 1, latency: 1, dies: 10 * time.Minute},
	}
}
