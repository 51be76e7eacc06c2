package server

import (
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/server/config"
)

// inside says how twins that are no virtual machine are made and asked. Without a network
// that cuts them off, there are none.
func inside(loads simulator.Loads, c config.Simulator) simulator.Inside {
	if c.Network == "" || c.Load == nil {
		return simulator.Inside{}
	}
	return simulator.Inside{Loads: loads, Network: c.Network, Source: c.Load.Source, Checksum: c.Load.Checksum}
}
