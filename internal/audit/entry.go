package audit

import "time"

// Kind says what an entry is about.
type Kind string

// The kinds of entries.
const (
	KindStart    Kind = "start"    // the server begins to write to this device
	KindResume   Kind = "resume"   // no device took the entries before; now one does again
	KindRequest  Kind = "request"  // a caller was let in; nothing has been done yet
	KindResponse Kind = "response" // what a caller was answered, a refusal included
	KindIntent   Kind = "intent"   // Oakum is about to change the world
	KindOutcome  Kind = "outcome"  // what came of it
)

// Entry is one line of the log. The hash of the line follows it.
type Entry struct {
	Sequence uint64    `json:"sequence"` // 1 is the first
	Previous string    `json:"previous"` // the hash of the entry before, 64 hexadecimal digits
	Time     time.Time `json:"time"`
	Server   string    `json:"server"`
	Kind     Kind      `json:"kind"`
	ID       string    `json:"id,omitempty"`     // the same for request and response, and for intent and outcome
	Missed   uint64    `json:"missed,omitempty"` // entries that this device did not take before this one
	Torn     int64     `json:"torn,omitempty"`   // bytes of a line that a crash left unfinished, and that were cut off
	Request  *Request  `json:"request,omitempty"`
	Effect   *Effect   `json:"effect,omitempty"`
}

// Request is a call of the API.
type Request struct {
	Method string              `json:"method"`
	Route  string              `json:"route"`            // the pattern, such as /v1/rollout/{id}
	Path   map[string]string   `json:"path,omitempty"`   // what stood for the pattern's parts
	Query  map[string][]string `json:"query,omitempty"`  // values that may be secret are concealed
	Names  map[string][]string `json:"names,omitempty"`  // of what it was about: patch, target, rollout, plan, ...
	Status int                 `json:"status,omitempty"` // of the answer

	Caller  *Caller `json:"caller,omitempty"` // nil when nobody was recognised
	Token   string  `json:"token,omitempty"`  // concealed
	Body    string  `json:"body,omitempty"`   // concealed
	Remote  string  `json:"remote"`           // address of whoever was connected
	Server  string  `json:"forwarded_by,omitempty"`
	Forward string  `json:"forwarded_for,omitempty"` // address of whoever asked the server that forwarded it
}

// Caller is who asks.
type Caller struct {
	Name    string `json:"name"`
	Subject string `json:"subject,omitempty"`
	Via     string `json:"via"`
}

// Effect is one change of the world on behalf of a rollout.
type Effect struct {
	Action  string `json:"action"` // stage, promote, settle, rollback, unpace, tag, untag, simulate or exec
	Rollout string `json:"rollout,omitempty"`
	Patch   string `json:"patch,omitempty"`
	Target  string `json:"target"`
	Detail  string `json:"detail,omitempty"`
	OK      bool   `json:"ok,omitempty"`    // of an outcome
	Error   string `json:"error,omitempty"` // of an outcome: its code; the text may quote what Nomad was sent
}
