// Package notify tells people and programs what happens to rollouts: that somebody must
// approve, that Oakum holds, that a patch was turned back.
//
// It runs on the leader, one goroutine for each notifier, and follows the record of events.
// How far each notifier was told is in the replicated state, so that the next leader goes on
// there: a notice may come twice after an election, and none is lost. What can't be delivered
// is tried again with growing pauses, and given up after an hour. Nothing waits for it.
package notify
