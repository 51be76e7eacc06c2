// Package blame says which of several rollouts side by side explains what got
// worse. It is pure: it is given rollouts, verdicts and edges, and returns
// verdicts. DESIGN.md has the rules, their source and what was measured.
package blame
