// Package lang is the language in which policies and patches are written: HCL
// files with limits on their size, blocks whose arguments are checked, typed
// expressions over a closed set of names and functions, and diagnostics with
// file, line and column.
//
// It knows nothing of what is said in the language. Package policies gives it
// the names that an expression may use, as a [Scope], and the arguments that a
// block takes, and nobody else imports it.
//
// Errors are reported and reading goes on: a [Source] collects the diagnostics
// of a whole file. The package is pure, as policies is.
package lang
