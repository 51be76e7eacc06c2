package fleet

// keptEvents is how many of the newest events can be read; Nomad keeps 100.
const keptEvents = 1024

// Topics of events, as Nomad names them.
const (
	TopicJob        = "Job"
	TopicAllocation = "Allocation"
	TopicDeployment = "Deployment"
	TopicEvaluation = "Evaluation"
	TopicNode       = "Node"
)

// Event says that something has changed. Its key says what; readers read the
// present value.
type Event struct {
	Topic, Type string
	Key         string   // ID of the job, allocation, deployment, evaluation or node
	Namespace   string   // of all but nodes
	Filter      []string // other IDs by which it can be asked for
	Index       uint64
}

// eventLog keeps the newest events, by index.
type eventLog struct {
	list    []Event
	dropped uint64 // index of the newest one that is gone
	off     bool   // none is kept
}

// KeepNoEvents saves the memory of events that nobody will ask for.
func (f *Fleet) KeepNoEvents() { f.events = eventLog{off: true} }

// event publishes the newest change.
func (f *Fleet) event(e Event) {
	l := &f.events
	if l.off {
		return
	}
	e.Index = f.index
	if len(l.list) >= 2*keptEvents {
		l.dropped = l.list[keptEvents-1].Index
		l.list = append(l.list[:0], l.list[keptEvents:]...)
	}
	l.list = append(l.list, e)
}

// Events lists what happened after an index, oldest first. It is false when
// some of that is no longer kept.
func (f *Fleet) Events(after uint64) ([]Event, bool) {
	l := &f.events
	i := len(l.list)
	for i > 0 && l.list[i-1].Index > after {
		i--
	}
	return append([]Event(nil), l.list[i:]...), after >= l.dropped && !l.off
}
