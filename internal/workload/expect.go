package workload

import (
	"encoding/json"
	"fmt"
)

// Expect is the status that a request is to be answered with: 100 to 599 for that
// status, 1 to 5 for any of that hundred, and 0 for any below 400.
type Expect int

// Accepts reports whether a status is the expected one.
func (e Expect) Accepts(status int) bool {
	switch {
	case e == 0:
		return status >= 100 && status < 400
	case e < 10:
		return status/100 == int(e)
	}
	return status == int(e)
}

// String is "200", "2xx" or "below 400".
func (e Expect) String() string {
	switch {
	case e == 0:
		return "below 400"
	case e < 10:
		return fmt.Sprintf("%dxx", int(e))
	}
	return fmt.Sprint(int(e))
}

// MarshalJSON writes a number, or the text of a hundred.
func (e Expect) MarshalJSON() ([]byte, error) {
	if e > 0 && e < 10 {
		return json.Marshal(e.String())
	}
	return json.Marshal(int(e))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Expect) UnmarshalJSON(text []byte) error {
	var status int
	if err := json.Unmarshal(text, &status); err == nil && status >= 100 && status <= 599 {
		*e = Expect(status)
		return nil
	}
	for class := Expect(1); class <= 5; class++ {
		if string(text) == `"`+class.String()+`"` {
			*e = class
			return nil
		}
	}
	return fmt.Errorf(`status: %.40s is neither from 100 to 599 nor such as "2xx"`, text)
}

// expected is what a recorded status lets one expect of the same request. A request
// whose client went away was not answered. Conditions and ranges are not recorded, so
// that an answer to them becomes a whole one.
func expected(status int) Expect {
	const clientClosed, noAnswer = 499, 444 // nginx's own
	switch {
	case status < 100 || status > 599 || status == clientClosed || status == noAnswer:
		return 0
	case status == 304 || status == 206:
		return 2
	}
	return Expect(status)
}
