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

// Oldest is when the oldest of inventories was taken; zero where one does not say, and for
// none.
func Oldest(list []*api.Inventory) time.Time {
	var oldest time.Time
	for i, inv := range list {
		if inv.TakenAt.IsZero() {
			return time.Time{}
		}
		if i == 0 || inv.TakenAt.Before(oldest) {
			oldest = inv.TakenAt
		}
	}
	return oldest
}
