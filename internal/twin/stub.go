package twin

// Stub answers in the twin of a group for a service that the group calls.
type Stub struct {
	Name    string
	Port    int    // on the loopback address; 0 for that of the mesh upstream of this name
	Answers []byte // a file of answers
}

// Unanswered is a call of a twin that its stub has no answer for.
type Unanswered struct {
	Stub  string `json:"stub"`
	Call  string `json:"call"` // such as "GET /price/9", without a query
	Count int64  `json:"count"`
}

// UnansweredMost is how many different calls a twin's stubs report. All others are one.
const UnansweredMost = 64
