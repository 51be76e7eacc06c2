package api

// Stub stands in a twin for a service that the target calls. The twins reach nothing
// else, so without one such calls fail on both alike.
type Stub struct {
	Name string `json:"name"`
	// Port is where the target finds the service on its loopback address. 0 is that of
	// its mesh upstream of this name.
	Port     int          `json:"port,omitempty"`
	Answers  []StubAnswer `json:"answers,omitempty"`  // tried before the recorded ones
	Recorded string       `json:"recorded,omitempty"` // hex SHA-256 of a file of recorded answers
}

// StubAnswer is what a stub answers to requests of a method and a path.
type StubAnswer struct {
	Method string `json:"method"`
	// Path fits with its query where it has one, and else whatever the query is. A "*"
	// stands for any characters.
	Path    string            `json:"path"`
	Status  int               `json:"status"` // 200 to 599
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Latency Duration          `json:"latency,omitempty"`
}
