// Package convention knows how the usual libraries, proxies and exporters name their
// metrics, and how a series names the instance that it is of.
//
// Rules is the table of conventions: one row for each KPI that one convention measures.
// Rule.Applies holds a row to the names that a store has, Instances.Of finds the
// instance behind the labels of a series, and Block writes the configuration by which
// Oakum reads what was found. The package is given values and returns values: who asks
// the store is package internal/kpi/discover.
package convention
