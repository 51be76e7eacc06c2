package api

import "time"

// FleetFactsFormat is the format of the FleetFacts that this version writes. A
// reader refuses any other.
const FleetFactsFormat = 1

// FleetFacts are what Oakum knows of a fleet, as far as a rehearsal needs it: no
// job's text, no environment, no token.
type FleetFacts struct {
	Format   int          `json:"format"`
	Oakum    string       `json:"oakum"` // version of the server
	At       time.Time    `json:"at"`
	Targets  []Target     `json:"targets"`  // sorted by reference
	Graph    Graph        `json:"graph"`    // services, edges without their evidence, sources
	Policies []SourceFile `json:"policies"` // in force
	Plugins  []PluginInfo `json:"plugins"`  // the strategies that there are
	// Profiles are the profiles of the targets, without the sketches of single hours.
	Profiles    []Profile    `json:"profiles,omitempty"`
	Open        []Rollout    `json:"open,omitempty"` // rollouts under way, by name and status alone
	Quarantines []Quarantine `json:"quarantines,omitempty"`
	Healthy     []HealthTime `json:"healthy,omitempty"` // sorted by target
	Trials      []Trial      `json:"trials,omitempty"`  // sorted by target
	Metrics     bool         `json:"metrics"`           // Prometheus is configured
	Sampling    Duration     `json:"sampling"`          // between two samples of a profile
	Tick        Duration     `json:"tick"`              // between two looks of the orchestrator
}

// HealthTime is how long instances of a target took until they were healthy.
type HealthTime struct {
	Target TargetRef  `json:"target"`
	Seen   []Duration `json:"seen"` // newest last, one for each batch of a stage and each twin
}

// Trial is how long simulations of a target took.
type Trial struct {
	Target TargetRef  `json:"target"`
	Seen   []Duration `json:"seen"` // newest last
}

// Rehearsal is how a plan went in a model of the fleet, over all seeds.
type Rehearsal struct {
	Patch    string          `json:"patch"`
	Digest   string          `json:"digest"` // of the patch
	At       time.Time       `json:"at"`     // when the plan begins
	Seeds    int             `json:"seeds"`
	Seed     uint64          `json:"seed"` // the first of them
	Order    string          `json:"order"`
	Weak     []string        `json:"weak,omitempty"`
	Refusals []Refusal       `json:"refusals,omitempty"`
	Ends     Spread          `json:"ends"` // of the whole plan, over the seeds in which it comes to an end
	Waves    []RehearsedWave `json:"waves"`
	Harmless Outcome         `json:"harmless"` // of a patch that does no harm
	Bad      []BadPatch      `json:"bad"`
	People   []Wait          `json:"people,omitempty"` // what waits for a person, of a patch that does no harm
	// Assumptions are what the figures rest on, beside the facts.
	Assumptions []string `json:"assumptions"`
}

// Spread is a span since the plan began, over the seeds.
type Spread struct {
	Median Duration `json:"median"`
	P90    Duration `json:"p90"`
	Seeds  int      `json:"seeds"` // in how many it came to that
}

// RehearsedWave is a wave of a patch that does no harm.
type RehearsedWave struct {
	Number    int         `json:"number"`
	Targets   []TargetRef `json:"targets"`
	Instances int         `json:"instances"`
	Starts    Spread      `json:"starts"` // its first rollout leaves waiting
	Ends      Spread      `json:"ends"`   // its last rollout has ended
	Waits     string      `json:"waits,omitempty"`
}

// Share is how often something happened. Low and High hold its probability with
// 95 percent confidence.
type Share struct {
	Count int     `json:"count"`
	Of    int     `json:"of"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Outcome is how the plays of a plan ended.
type Outcome struct {
	Complete   Share `json:"complete"`    // every rollout completed, without a person's word on a hold; consent is none
	TurnedBack Share `json:"turned_back"` // a rollout turned back by itself
	Held       Share `json:"held"`        // a rollout held for a person
	// Rollouts are the same by rollout instead of by play.
	Rollouts RolloutOutcome `json:"rollouts"`
	Reasons  []Wait         `json:"reasons,omitempty"` // why rollouts turned back, the most frequent first
}

// RolloutOutcome is how single rollouts ended, over all plays.
type RolloutOutcome struct {
	Complete   Share `json:"complete"`
	TurnedBack Share `json:"turned_back"`
	Held       Share `json:"held"`
}

// BadPatch is what becomes of a patch that does harm.
type BadPatch struct {
	Name       string      `json:"name"`
	TurnedBack Share       `json:"turned_back"` // some rollout was turned back, by itself or by a person
	Unnoticed  Share       `json:"unnoticed"`   // every rollout completed
	After      Spread      `json:"after"`       // from the first healthy patched instance until the first rollout turns back
	Instances  CountSpread `json:"instances"`   // that ran the patch until it was turned back everywhere or stopped
	Targets    CountSpread `json:"targets"`     // with such instances
	Requests   CountSpread `json:"requests"`    // that these instances answered or failed meanwhile
	Reasons    []Wait      `json:"reasons,omitempty"`
}

// CountSpread is a number over the seeds.
type CountSpread struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Most   float64 `json:"most"`
}

// Wait is something that occurs, and in how many of the plays.
type Wait struct {
	Text  string `json:"text"`
	Plays int    `json:"plays"`
}

// Forecast says when a target is patched: the waves that are left of its plan, over the plays
// of a harmless patch.
type Forecast struct {
	Patch   string         `json:"patch"`
	Plan    string         `json:"plan,omitempty"` // that is under way; empty for a patch that was not submitted
	Target  TargetRef      `json:"target"`
	Wave    int            `json:"wave,omitempty"`     // of the waves below; 0 where it is in none
	LeftOut string         `json:"left_out,omitempty"` // why it is in none
	At      time.Time      `json:"at"`                 // when it was asked
	Seeds   int            `json:"seeds"`              // plays
	Waves   []ForecastWave `json:"waves"`
	Ends    Moment         `json:"ends"`             // of the whole plan
	People  []Wait         `json:"people,omitempty"` // what waits for a person
	// Assumptions are what the times rest on.
	Assumptions []string `json:"assumptions"`
}

// ForecastWave is a wave of a forecast.
type ForecastWave struct {
	Number    int         `json:"number"` // from 1, of the waves that are left
	Targets   []TargetRef `json:"targets"`
	Instances int         `json:"instances"`
	Starts    Moment      `json:"starts"` // its first rollout starts
	Ends      Moment      `json:"ends"`   // its last one has ended
	Waits     string      `json:"waits,omitempty"`
}

// Moment is when something happens in half of the plays, and in nine of ten, of those in
// which it does.
type Moment struct {
	P50   time.Time `json:"p50,omitzero"`
	P90   time.Time `json:"p90,omitzero"`
	Seeds int       `json:"seeds"` // plays in which it happens
}
