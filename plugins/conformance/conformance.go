// Package conformance holds the rules of good conduct of a strategy as a suite
// that runs on any of them: in process, or through a host. The built-ins pass
// it, `oakum plugin verify` runs it, and an author runs it in a test:
//
//	for _, r := range conformance.Run(ctx, strategy.Advise, nil) { ... }
package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/internal/rules"
)

// Result is the outcome of one check. Detail says what was wrong, or what was
// seen.
type Result struct {
	Check  string `json:"check"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail"`
}

// Advise is what the suite examines.
type Advise func(context.Context, api.StrategyView) (api.Advice, error)

const (
	// stepsMax bounds a walk: 100 stages of one percent, the promotion and the end.
	stepsMax = 102
	// answerWithin is the deadline that a host gives; a strategy decides from a
	// value and needs a small part of it.
	answerWithin = 5 * time.Second
)

// Run examines a strategy with one configuration (nil for its defaults), on
// targets of 1 to 100 instances. It answers with one result per check, always
// the same ones in the same order.
func Run(ctx context.Context, advise Advise, config json.RawMessage) []Result {
	s := suite{advise: advise, config: config}
	checks := []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"finishes when every verdict promotes", s.finishes},
		{"answers the same for the same view", s.repeats},
		{"stops when a verdict aborts", s.stopsOnAbort},
		{"does not move forward without a verdict", s.waitsForVerdict},
		{"answers in time and honours its context", s.honoursContext},
		{"refuses an unreadable configuration", s.refusesConfig},
	}
	results := make([]Result, 0, len(checks))
	for _, c := range checks {
		detail, err := c.run(ctx)
		r := Result{Check: c.name, Passed: err == nil, Detail: detail}
		if err != nil {
			r.Detail = err.Error()
		}
		results = append(results, r)
	}
	return results
}

// Failed returns the results that did not pass.
func Failed(results []Result) []Result {
	var out []Result
	for _, r := range results {
		if !r.Passed {
			out = append(out, r)
		}
	}
	return out
}

type suite struct {
	advise Advise
	config json.RawMessage
}

// sizes are the targets that the suite rolls out on: the smallest, those where
// percentages round, and a large one.
func sizes() []int { return []int{1, 2, 3, 7, 10, 100} }

// ask consults the strategy within the host's deadline.
func (s suite) ask(ctx context.Context, view api.StrategyView) (api.Advice, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return s.advise(ctx, view)
}

// walk follows the strategy from nothing to the end, with every verdict
// promoting, and shows each view on the way to visit.
func (s suite) walk(ctx context.Context, count int, visit func(api.StrategyView, api.Advice) error) (int, error) {
	w := newWorld(count, s.config)
	for step := range stepsMax + 1 {
		view := w.view()
		advice, err := s.ask(ctx, view)
		if err != nil {
			return step, fmt.Errorf("advise at %s: %w", w, err)
		}
		if err := rules.CheckAdvice(view, advice); err != nil {
			return step, fmt.Errorf("at %s: %w", w, err)
		}
		if visit != nil {
			if err := visit(view, advice); err != nil {
				return step, fmt.Errorf("at %s: %w", w, err)
			}
		}
		switch advice.Action {
		case api.AdviceFinish:
			return step + 1, nil
		case api.AdviceHold, api.AdviceRollback:
			return step, fmt.Errorf("at %s: proposes %s (%s) although every verdict promotes", w, advice.Action, advice.Reason)
		case api.AdviceStage, api.AdvicePromote:
			w.apply(advice)
		}
	}
	return stepsMax, fmt.Errorf("has not finished after %d steps", stepsMax)
}

func (s suite) finishes(ctx context.Context) (string, error) {
	detail := ""
	for _, n := range sizes() {
		steps, err := s.walk(ctx, n, nil)
		if err != nil {
			return "", fmt.Errorf("%d instances: %w", n, err)
		}
		detail = fmt.Sprintf("%d steps on %d instances", steps, n)
	}
	return detail, nil
}

func (s suite) repeats(ctx context.Context) (string, error) {
	views := 0
	for _, n := range sizes() {
		_, err := s.walk(ctx, n, func(view api.StrategyView, advice api.Advice) error {
			views++
			again, err := s.ask(ctx, view)
			if err != nil {
				return fmt.Errorf("advise again: %w", err)
			}
			if again != advice {
				return fmt.Errorf("proposes %+v, then %+v for the same view", advice, again)
			}
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("%d instances: %w", n, err)
		}
	}
	return fmt.Sprintf("%d views asked twice", views), nil
}

func (s suite) stopsOnAbort(ctx context.Context) (string, error) {
	return s.stops(ctx, api.VerdictAbort)
}

func (s suite) waitsForVerdict(ctx context.Context) (string, error) {
	for _, kind := range []api.VerdictKind{api.VerdictContinue, api.VerdictInconclusive, ""} {
		if _, err := s.stops(ctx, kind); err != nil {
			return "", err
		}
	}
	return "with the verdicts continue, inconclusive and none", nil
}

// stops puts a verdict other than promote on the present stage of every view of
// a walk and wants the strategy to hold or to roll back.
func (s suite) stops(ctx context.Context, kind api.VerdictKind) (string, error) {
	views := 0
	for _, n := range sizes() {
		_, err := s.walk(ctx, n, func(view api.StrategyView, _ api.Advice) error {
			if len(view.Stages) == 0 {
				return nil
			}
			views++
			bad := unjudged(view, kind)
			advice, err := s.ask(ctx, bad)
			if err != nil {
				return fmt.Errorf("advise on verdict %q: %w", kind, err)
			}
			if advice.Action != api.AdviceHold && advice.Action != api.AdviceRollback {
				return fmt.Errorf("proposes %s on verdict %q, want hold or rollback", advice.Action, kind)
			}
			return rules.CheckAdvice(bad, advice)
		})
		if err != nil {
			return "", fmt.Errorf("%d instances: %w", n, err)
		}
	}
	if views == 0 {
		return "", fmt.Errorf("proposed no stage to judge")
	}
	return fmt.Sprintf("%d views", views), nil
}

// honoursContext wants an answer, or an error, once the context has ended.
func (s suite) honoursContext(ctx context.Context) (string, error) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// What it answers is its own affair: only that it does.
		_, _ = s.advise(ended, newWorld(10, s.config).view())
	}()
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case <-done:
		return "returned after its context had ended", nil
	case <-timer.C:
		return "", fmt.Errorf("did not return within %s of the end of its context", answerWithin)
	}
}

func (s suite) refusesConfig(ctx context.Context) (string, error) {
	view := newWorld(10, json.RawMessage(`"no object"`)).view()
	advice, err := s.ask(ctx, view)
	if err == nil && advice.Action != api.AdviceHold {
		return "", fmt.Errorf("proposes %s with a configuration that is no object, want an error or hold", advice.Action)
	}
	return "", nil
}
