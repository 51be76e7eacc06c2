// Package access decides what a caller may do to which targets, and what of the fleet
// they may see. It is pure: it is given an identity with its grants, and the names that
// the record knows.
//
// A grant gives capabilities on the targets whose namespace and job its globs match, or
// denies them; a denial wins. What belongs to no target (policies, the brake, the
// cluster) asks for the capability everywhere.
package access
