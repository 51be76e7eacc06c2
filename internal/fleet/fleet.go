package fleet

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/oakumhq/oakum/internal/fleet/agenda"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// Defaults of a Nomad cluster.
const (
	// heartbeatTTL is how long servers wait for a node before it is down:
	// heartbeat_grace and the shortest TTL are 10 s each.
	heartbeatTTL = 20 * time.Second
	// trackedVersions is how many untagged versions of a job are kept.
	trackedVersions = 6
	// keptEnded is how long ended allocations, deployments and evaluations can
	// still be read.
	keptEnded = time.Hour
	// keptEvaluations and keptDeployments bound what is kept of one job.
	keptEvaluations, keptDeployments = 8, 8
	// keptAllocs bounds the ended allocations that are kept of one job.
	keptAllocs = 64
)

// Fleet is one Nomad region with its jobs and nodes.
type Fleet struct {
	now    time.Time
	rng    *rand.Rand
	index  uint64
	tables [tables]uint64
	due    agenda.Agenda

	jobs              map[JobID]*jobState
	ids               []JobID // of jobs, sorted unless unsorted
	unsorted          bool
	nodes             map[string]*Node
	nodeIDs           []string // in the order in which they came
	allocs            map[string]*Alloc
	deploys           map[string]*Deployment
	evals             map[string]*Evaluation
	blocked           map[JobID]*jobState // jobs that wait for room
	systems           map[JobID]bool      // jobs that run on every node
	behave            func(Build) Behaviour
	evalLeast         time.Duration
	evalMost          time.Duration
	events            eventLog
	load              *load.Model
	subscribers       []func(*Alloc)
	evaluatingBlocked bool // jobs that wait for room are about to be evaluated
}

// New returns a fleet without jobs and nodes whose time is now.
func New(seed uint64, now time.Time) *Fleet {
	return &Fleet{
		now: now, rng: rand.New(rand.NewPCG(seed, 0xf1ee7)), index: 1,
		jobs: map[JobID]*jobState{}, nodes: map[string]*Node{}, allocs: map[string]*Alloc{},
		deploys: map[string]*Deployment{}, evals: map[string]*Evaluation{}, blocked: map[JobID]*jobState{}, systems: map[JobID]bool{},
		behave:    func(Build) Behaviour { return Behaviour{} },
		evalLeast: 50 * time.Millisecond, evalMost: 300 * time.Millisecond,
	}
}

// Now is the moment that the model has reached.
func (f *Fleet) Now() time.Time { return f.now }

// Index rises with every change that a reader of the API can see.
func (f *Fleet) Index() uint64 { return f.index }

// Table is a part of the state with an index of its own, for blocking queries.
type Table int

// Tables.
const (
	TableJobs Table = iota
	TableAllocs
	TableDeployments
	TableEvaluations
	TableNodes
	TableCatalog // what is registered with Consul
	TableChecks  // how Consul's checks stand
	TableEntries // Consul's config entries
	tables
)

// TableIndex is the index of the newest change in a table; 1 when there was none.
func (f *Fleet) TableIndex(t Table) uint64 { return max(1, f.tables[t]) }

// Touch publishes a change that is kept outside of the fleet, and returns its
// index.
func (f *Fleet) Touch(t Table) uint64 { return f.touch(t) }

// Subscribe registers a function that is called whenever an allocation has
// changed, or its node was lost or has returned. It is called before any reader
// sees the change.
func (f *Fleet) Subscribe(changed func(*Alloc)) { f.subscribers = append(f.subscribers, changed) }

// touch begins a change of a table.
func (f *Fleet) touch(t Table) uint64 {
	f.index++
	f.tables[t] = f.index
	return f.index
}

// SchedulerDelay sets how long an evaluation waits for the scheduler: drawn
// evenly between least and most. It is 50 to 300 ms otherwise, as measured.
func (f *Fleet) SchedulerDelay(least, most time.Duration) { f.evalLeast, f.evalMost = least, most }

// Behave sets the behaviour of each build's instances. The function is called at
// each placement, and again for each instance that restarts.
func (f *Fleet) Behave(behave func(Build) Behaviour) { f.behave = behave }

// Advance carries out everything that is due until now. A moment in the past is
// the present one.
func (f *Fleet) Advance(now time.Time) {
	for at, ok := f.due.Next(); ok && !at.After(now); at, ok = f.due.Next() {
		at, do := f.due.Take()
		if at.After(f.now) {
			f.now = at
		}
		do()
	}
	if now.After(f.now) {
		f.now = now
	}
}

// Next is when something is due; false means that nothing is.
func (f *Fleet) Next() (time.Time, bool) { return f.due.Next() }

// At calls do when the model reaches a time, or at the next Advance when the time
// has passed. People, pipelines and faults use it.
func (f *Fleet) At(when time.Time, do func()) { f.due.Add(when, do) }

// after is At, so much later.
func (f *Fleet) after(d time.Duration, do func()) { f.At(f.now.Add(d), do) }

// between draws a duration.
func (f *Fleet) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(f.rng.Int64N(int64(most-least)))
}

// newID draws a UUID.
func (f *Fleet) newID() string {
	const version, versionBits, variant, variantBits = 0x4000, 0xf000, 2 << 62, 3 << 62
	id := binary.BigEndian.AppendUint64(nil, f.rng.Uint64()&^versionBits|version)
	id = binary.BigEndian.AppendUint64(id, f.rng.Uint64()&^variantBits|variant)
	return uuid.UUID(id).String()
}

// JobIDs lists all jobs that are registered, stopped ones included, sorted by
// namespace and ID.
func (f *Fleet) JobIDs() []JobID {
	if f.unsorted {
		slices.SortFunc(f.ids, JobID.Compare)
		f.unsorted = false
	}
	return f.ids
}
