package workload

import (
	"cmp"
	"fmt"
	"slices"
)

// topMost is how many requests a summary names.
const topMost = 20

// Summary is what a person looks at before a workload is used.
type Summary struct {
	Digest      string   `json:"digest"` // of the file
	Source      string   `json:"source,omitempty"`
	Requests    int      `json:"requests"` // distinct ones
	Weight      int64    `json:"weight"`
	Recorded    int64    `json:"recorded,omitempty"`
	Kept        float64  `json:"kept"`           // part of the recorded ones that it stands for, 0 to 1
	Rate        float64  `json:"rate,omitempty"` // recorded requests a second
	Unexpected  int64    `json:"unexpected,omitempty"`
	Mutating    float64  `json:"mutating"` // part of the weight whose requests may change what is stored, 0 to 1
	Bodies      int      `json:"bodies"`   // distinct requests with a body
	Hosts       []string `json:"hosts,omitempty"`
	Credentials []string `json:"credentials,omitempty"` // headers that are named like credentials
	Mix         []Part   `json:"mix"`                   // by kind or method, and expected status
	Top         []Part   `json:"top"`                   // the requests that carry most
}

// Part is a part of a workload.
type Part struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"` // 0 to 1
}

// Summarise describes a workload that was read from a file.
func Summarise(w Workload, file []byte) Summary {
	s := Summary{
		Digest: Digest(file), Source: w.Source, Requests: len(w.Requests), Weight: w.Weight(), Recorded: w.Recorded, Kept: w.Kept(),
		Rate: w.Rate(), Unexpected: w.Unexpected,
	}
	mix, hosts, credentials := map[string]float64{}, map[string]bool{}, map[string]bool{}
	for i, r := range w.Requests {
		share := w.Share(i)
		if r.Mutating() {
			s.Mutating += share
		}
		if len(r.Body) > 0 {
			s.Bodies++
		}
		for name, value := range r.Headers {
			if name == "Host" {
				hosts[value] = true
			} else if secret(name) {
				credentials[name] = true
			}
		}
		mix[group(r)] += share
		s.Top = append(s.Top, Part{r.String(), share})
	}
	s.Hosts, s.Credentials = sorted(hosts), sorted(credentials)
	for _, name := range sorted(mix) {
		s.Mix = append(s.Mix, Part{name, mix[name]})
	}
	byShare := func(a, b Part) int { return cmp.Compare(b.Share, a.Share) }
	slices.SortStableFunc(s.Mix, byShare)
	slices.SortStableFunc(s.Top, byShare)
	s.Top = s.Top[:min(topMost, len(s.Top))]
	return s
}

// group is what a request has in common with many others.
func group(r Request) string {
	if r.Kind == TCP {
		return "tcp"
	}
	return fmt.Sprintf("%s, answered %s", r.Method, r.Expect)
}
