package sender

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/oakumhq/oakum/internal/twin"
)

// whyMax is how many bytes of an error a line keeps.
const whyMax = 200

// report writes the lines. One goroutine uses it.
type report struct {
	out     io.Writer
	phase   twin.LoadPhase
	healthy bool
	why     string
	answers []twin.Answer
	ended   string    // how the load program ended
	written time.Time // the last line
}

func newReport(out io.Writer) *report { return &report{out: out, phase: twin.LoadWaiting} }

// health takes the outcome of a health check. It writes a line when the outcome is
// another one than before, and once a second.
func (r *report) health(err error) error {
	healthy := err == nil
	changed := r.written.IsZero() || healthy != r.healthy
	r.healthy, r.why = healthy, ""
	if err != nil {
		r.why = err.Error()
	}
	if !changed && time.Since(r.written) < reportInterval {
		return nil
	}
	return r.write()
}

// enter begins a phase. What was reported before stays in the former one.
func (r *report) enter(phase twin.LoadPhase) { r.phase, r.why = phase, "" }

// answered takes the outcome of one request. A full line is written at once.
func (r *report) answered(a twin.Answer, why string) error {
	r.answers = append(r.answers, a)
	if r.why == "" {
		r.why = why
	}
	if len(r.answers) < twin.ReportAnswers {
		return nil
	}
	return r.flush()
}

// flush writes what came since the last line, also when nothing did.
func (r *report) flush() error {
	err := r.write()
	r.answers, r.why = r.answers[:0], ""
	return err
}

// finish writes the rest, and that the load is done.
func (r *report) finish() error {
	if len(r.answers) > 0 {
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.enter(twin.LoadDone)
	return r.write()
}

func (r *report) write() error {
	r.written = time.Now()
	why := r.why
	if len(why) > whyMax {
		why = why[:whyMax]
	}
	text, err := json.Marshal(twin.Report{Phase: r.phase, At: r.written, Healthy: r.healthy, Why: why, Answers: r.answers, Ended: r.ended})
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if _, err := r.out.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
