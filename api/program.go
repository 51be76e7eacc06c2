package api

// LoadProgram is a program of the operator, such as wrk or k6, that sends the twins of
// containers and programs requests of its own choice, in the place of a workload. It runs
// beside each twin, cut off like it, and is started again whenever it ends with exit code
// 0. Requests are counted between it and the twin.
type LoadProgram struct {
	Command string `json:"command"` // with its path, or found by the shell
	// Args may have "$OAKUM_TARGET", which stands for the URL of the twin and is an
	// environment variable as well.
	Args   []string          `json:"args,omitempty"`
	Image  string            `json:"image,omitempty"` // of a container with a shell; empty runs a program of the node by driver exec
	Env    map[string]string `json:"env,omitempty"`
	Memory int               `json:"memory,omitempty"` // MB; 0 for 256
}
