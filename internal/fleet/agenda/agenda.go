// Package agenda keeps what is due, by time and then by the order of asking.
package agenda

import (
	"container/heap"
	"time"
)

// Agenda is empty at first. It is not safe for concurrent use.
type Agenda struct {
	due    queue
	serial uint64
}

// Add asks for a call at a time.
func (a *Agenda) Add(at time.Time, do func()) {
	a.serial++
	heap.Push(&a.due, entry{at: at, serial: a.serial, do: do})
}

// Next is when something is due; false means that nothing is.
func (a *Agenda) Next() (time.Time, bool) {
	if len(a.due) == 0 {
		return time.Time{}, false
	}
	return a.due[0].at, true
}

// Take removes what is due first and returns it, with its time. There must be something.
func (a *Agenda) Take() (at time.Time, do func()) {
	e := heap.Pop(&a.due).(entry)
	return e.at, e.do
}

type entry struct {
	at     time.Time
	serial uint64
	do     func()
}

// queue is a heap.
type queue []entry

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].serial < q[j].serial
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push appends an element, for package heap.
func (q *queue) Push(x any) { *q = append(*q, x.(entry)) }

// Pop takes the last element, for package heap.
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = entry{}
	*q = old[:len(old)-1]
	return last
}
