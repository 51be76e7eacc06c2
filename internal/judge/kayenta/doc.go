// Package kayenta judges as Kayenta's default judge (NetflixACAJudge-v1.0) does:
// a Mann-Whitney confidence interval per metric over all that was measured so
// far, rules on the size of the effect, and a score over groups of metrics.
//
// It is here for those who come from Kayenta and want to compare, and as what
// Oakum's own judge is measured against. It makes no promise about how often it
// is wrong: it takes the points of a series for independent, and looks again at
// every look. Its results are Kayenta's also where they surprise: a root finder
// with an absolute tolerance of 1e-4 makes a verdict depend on the unit.
//
// The package is pure.
package kayenta
