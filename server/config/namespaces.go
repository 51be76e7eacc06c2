package config

import (
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
)

// load reads where the nodes find the program that asks twins from inside.
func (l *loader) load(b *applianceFile) {
	s := &l.cfg.Simulator
	if s.Load == nil {
		s.Load = &appliance.File{}
	}
	l.nodeFile(s.Load)(b)
}

// checkNamespaces checks what twins of containers and programs need.
func (l *loader) checkNamespaces() {
	s := l.cfg.Simulator
	if s.Load != nil {
		if err := s.Load.Check(); err != nil {
			l.problem("simulator.load", "%s", api.AsError(err).Message)
		}
	}
	if (s.Network == "") != (s.Load == nil) {
		path := "simulator.network"
		if s.Load != nil {
			path = "simulator.load"
		}
		l.problem(path, "want both network and load, or neither: a twin that is no virtual machine is cut off by the one and asked by the other")
	}
}
