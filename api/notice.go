package api

import "time"

// NoticeKind is what a notice tells of.
type NoticeKind string

// Kinds of notices.
const (
	NoticeApproval    NoticeKind = "approval"     // a person must approve
	NoticeHold        NoticeKind = "hold"         // Oakum is in doubt and holds
	NoticeRollingBack NoticeKind = "rolling_back" // a patch is turned back
	NoticeRolledBack  NoticeKind = "rolled_back"
	NoticeRejected    NoticeKind = "rejected" // by its simulation
	NoticeFailed      NoticeKind = "failed"
	NoticeCancelled   NoticeKind = "cancelled"
	NoticeComplete    NoticeKind = "complete"
	NoticeWorse       NoticeKind = "worse" // the target of a complete rollout has got worse since
	NoticeProof       NoticeKind = "proof" // a complete rollout has not removed the fault, or nobody knows
	NoticeBrake       NoticeKind = "brake" // it was put on, or taken off
)

// NoticeKinds lists all kinds.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{
		NoticeApproval, NoticeHold, NoticeRollingBack, NoticeRolledBack, NoticeRejected,
		NoticeFailed, NoticeCancelled, NoticeComplete, NoticeWorse, NoticeProof, NoticeBrake,
	}
}

// Notice is what one notification tells: what happened of one kind to the rollouts of one
// patch. A receiver may get the same one twice, after an election; Index tells it.
type Notice struct {
	Kind     NoticeKind `json:"kind"`
	Title    string     `json:"title"`           // one sentence
	Patch    string     `json:"patch,omitempty"` // empty for the brake
	Cluster  string     `json:"cluster"`
	Rollouts []string   `json:"rollouts,omitempty"` // IDs, each once
	Texts    []string   `json:"texts"`              // of what happened, one sentence each, oldest first; at most NoticeTexts
	More     int        `json:"more,omitempty"`     // how many further texts there are
	Link     string     `json:"link,omitempty"`     // the page to look at
	At       time.Time  `json:"at"`                 // of the last event
	Index    uint64     `json:"index"`              // of the last event
}

// NoticeTexts is the most texts of one notice.
const NoticeTexts = 10

// NoticeMark says how much one notifier has been told, so that the next leader goes on
// there.
type NoticeMark struct {
	Notifier string `json:"notifier"` // the name of its block
	Index    uint64 `json:"index"`    // events up to this one were told, or given up

	ModifyIndex uint64 `json:"modify_index"`
}
