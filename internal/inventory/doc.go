// Package inventory compares what is installed in an image with what a patch says of
// the fault: package names and versions in, affected or fixed out. It reads nothing by
// itself.
//
// Unknown is never safe. A version that can't be compared, a package without a version
// and an ecosystem without an order are errors or unknown, never "fixed".
package inventory
