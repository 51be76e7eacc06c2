// Package advisory compares what is installed with what advisories say: an inventory and
// an advisory in, affected, fixed, not affected or unknown out, each with its reason. It
// reads OSV documents, statements of exceptions (OpenVEX and CycloneDX VEX), and files
// that say what is exploited (KEV, EPSS).
//
// Unknown is never safe. Whatever can't be compared, is kept aside, is of a release that
// nobody knows or of an ecosystem without an order gives unknown, never "not affected".
// A package is compared only with ranges of its own ecosystem and release, so that a fix
// which a distribution took back to an older version counts.
package advisory
