// Package library holds the policy files that ship with Oakum.
package library

import _ "embed"

// Default is the reference behaviour: twins for virtual machines, phases for
// what others depend on, blue/green for the rest, and a rollback when in
// trouble. It applies to every target and is the least specific policy.
//
//go:embed default.hcl
var Default string
