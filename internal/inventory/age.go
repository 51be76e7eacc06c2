package inventory

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Stale says why an inventory is too old to say that something is safe; "" when it is not,
// and for any age when most is zero. One from the future may be of any age: a clock was
// wrong.
func Stale(inv *api.Inventory, most time.Duration, now time.Time) string {
	switch age := now.Sub(inv.TakenAt); {
	case most == 0:
		return ""
	case inv.TakenAt.IsZero():
		return "the inventory does not say when it was taken"
	case age < 0:
		return fmt.Sprintf("the inventory says that it was taken in the future, at %s", inv.TakenAt.UTC().Format(time.RFC3339))
	case age > most:
		return fmt.Sprintf("the inventory is stale: it was taken on %s", inv.TakenAt.UTC().Format(time.DateOnly))
	}
	return ""
}

// Age says how old the oldest of inventories is, in days, or in hours below two days; ""
// where one does not say when it was taken, or says that it was in the future.
func Age(list []*api.Inventory, now time.Time) string {
	oldest := now
	for _, inv := range list {
		if inv.TakenAt.IsZero() || inv.TakenAt.After(now) {
			return ""
		}
		if inv.TakenAt.Before(oldest) {
			oldest = inv.TakenAt
		}
	}
	const days = 24 * time.Hour
	switch age := now.Sub(oldest); {
	case len(list) == 0:
		return ""
	case age < 2*days:
		return fmt.Sprintf("%d h old", age/time.Hour)
	default:
		return fmt.Sprintf("%d days old", age/days)
	}
}
