// Package calendar says when windows and freezes let a wave start. It is pure, and reads
// the starts of windows and the ends of freezes as people write them.
package calendar
