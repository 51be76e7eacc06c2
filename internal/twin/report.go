package twin

import "time"

// LoadPhase is how far the load of a twin is.
type LoadPhase string

// Phases of a load. It waits for its start signal, and asks whether the twin is
// healthy. Nothing of the warm-up counts.
const (
	LoadWaiting LoadPhase = "waiting"
	LoadWarmUp  LoadPhase = "warm-up"
	LoadRunning LoadPhase = "running"
	LoadDone    LoadPhase = "done"
)

// Report is what the load of a twin says at least once a second, as one line of JSON.
// A line has at most ReportAnswers answers, so it is shorter than 16 KiB.
type Report struct {
	Phase   LoadPhase `json:"phase"`
	At      time.Time `json:"at"`                // on the twin's node
	Healthy bool      `json:"healthy,omitempty"` // the last health check was answered well
	Why     string    `json:"why,omitempty"`     // it was not; or how the first failed request failed
	Answers []Answer  `json:"answers,omitempty"` // since the line before
	// Ended says that the operator's load program has ended by itself, and how, such as
	// "exit code 1".
	Ended string `json:"ended,omitempty"`
}

// ReportAnswers is the most answers in one line.
const ReportAnswers = 128

// Files by which the load of a twin and the task of a load program tell each other how far
// they are, in the own folder of that task.
const (
	StartedFile = "oakum-load-started" // the load makes it when the program may begin
	EndedFile   = "oakum-load-ended"   // holds the exit code of a program that has failed
)

// Answer is what became of one request.
type Answer struct {
	Request int   `json:"request"`          // index in the workload; 0 for all requests of a load program
	Status  int   `json:"status,omitempty"` // of HTTP; 0 when there was no answer
	Micros  int64 `json:"us"`               // from the request to the end of the answer, in microseconds
	Failed  bool  `json:"failed,omitempty"` // no answer, or another than the workload expects
}

// Took is how long the answer took.
func (a Answer) Took() time.Duration { return time.Duration(a.Micros) * time.Microsecond }
