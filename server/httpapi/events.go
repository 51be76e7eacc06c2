package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Sizes of the event stream.
const (
	// eventBatch is about how many events are read at once.
	eventBatch = 512
	// heartbeat is how often a silent stream sends {}, so that the reader and
	// the proxies in between see that it lives.
	heartbeat = 10 * time.Second
	// writeTimeout is how long a reader may take for one batch before it is cut off.
	writeTimeout = 30 * time.Second
)

// allTopics is what a stream without ?topic waits for.
func allTopics() []api.Topic {
	return []api.Topic{
		api.TopicPolicy, api.TopicPatch, api.TopicRollout, api.TopicEffect, api.TopicSimulation, api.TopicGraph,
		api.TopicProfile, api.TopicQuarantine, api.TopicBrake, api.TopicInventory,
	}
}

// eventChoice is what a reader wants: topics, each with a key or all keys.
type eventChoice map[api.Topic][]string

// choiceOf reads ?topic=rollout&topic=patch:openssl. An empty choice is all.
func choiceOf(words []string) (eventChoice, error) {
	choice := eventChoice{}
	for _, word := range words {
		name, key, _ := strings.Cut(word, ":")
		known := false
		for _, topic := range allTopics() {
			known = known || string(topic) == name
		}
		if !known {
			return nil, api.Errorf(api.CodeInvalid, "query parameter topic: %q is none of %v", name, allTopics())
		}
		choice[api.Topic(name)] = append(choice[api.Topic(name)], key)
	}
	return choice, nil
}

func (choice eventChoice) wants(e api.Event) bool {
	if len(choice) == 0 {
		return true
	}
	for _, key := range choice[e.Topic] {
		// An effect's key is its rollout's ID and a number.
		if key == "" || key == e.Key || (e.Topic == api.TopicEffect && strings.HasPrefix(e.Key, key)) {
			return true
		}
	}
	return false
}

// of returns the events of a batch that the reader wants.
func (choice eventChoice) of(batch []api.Event) []api.Event {
	kept := make([]api.Event, 0, len(batch))
	for _, e := range batch {
		if choice.wants(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func (choice eventChoice) topics() []api.Topic {
	if len(choice) == 0 {
		return allTopics()
	}
	var out []api.Topic
	for _, topic := range allTopics() {
		if _, ok := choice[topic]; ok {
			out = append(out, topic)
		}
	}
	return out
}

// cursor walks through the events. All events of an index come together, so the
// next index says where the cursor is.
type cursor struct {
	store ChangeReader
	index uint64
}

// next returns some of the events after the cursor, none when it is at the end.
func (cu *cursor) next() []api.Event {
	batch := cu.store.Events(cu.index, eventBatch)
	if len(batch) > 0 {
		cu.index = batch[len(batch)-1].Index + 1
	}
	return batch
}

func (a *API) events(c *call) (any, error) {
	choice, err := choiceOf(c.r.URL.Query()["topic"])
	if err != nil {
		return nil, err
	}
	from, err := number(c.r.URL.Query().Get("index"), "index")
	if err != nil {
		return nil, err
	}
	cu := &cursor{store: a.opt.Store, index: from}
	out := []api.Event{}
	for batch := cu.next(); len(batch) > 0; batch = cu.next() {
		seen, err := a.eventsSeen(c, choice.of(batch))
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	return out, nil
}

// eventStream sends events as lines of JSON until the caller or the server
// ends it, or the token does. Without ?index it begins with the next event.
func (a *API) eventStream(c *call) error {
	choice, err := choiceOf(c.r.URL.Query()["topic"])
	if err != nil {
		return err
	}
	from, err := number(c.r.URL.Query().Get("index"), "index")
	if err != nil {
		return err
	}
	if from == 0 {
		from = a.opt.Store.Index() + 1
	}
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(c.w)
	send := func(lines []byte) error {
		// Only the writers of tests have no deadlines.
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.w.Write(lines); err != nil {
			return err
		}
		return control.Flush()
	}
	if err := send([]byte("{}\n")); err != nil {
		return err
	}
	return a.follow(c, &cursor{store: a.opt.Store, index: from}, choice, send)
}

// follow sends the events after the cursor. When the caller's token ends, its last line is
// the error.
func (a *API) follow(c *call, cu *cursor, choice eventChoice, send func([]byte) error) error {
	ctx, stop := a.whileTaken(c)
	defer stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		// Asked for before the events are read: a change meanwhile closes the channel.
		changed := a.opt.Store.Watch(choice.topics()...)
		for batch := cu.next(); len(batch) > 0 && ctx.Err() == nil; batch = cu.next() {
			seen, err := a.eventsSeen(c, choice.of(batch))
			if err != nil {
				return err
			}
			lines, err := encodeEvents(seen)
			if err != nil {
				return err
			}
			if err := send(lines); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := send([]byte("{}\n")); err != nil {
				return err
			}
		case <-a.closing:
			return nil
		case <-ctx.Done():
			ended := taken(ctx)
			if ended == nil {
				return nil // the caller has gone
			}
			line, err := json.Marshal(api.StreamEnd{Error: ended})
			if err != nil {
				return err
			}
			return send(append(line, '\n'))
		}
	}
}

func encodeEvents(batch []api.Event) ([]byte, error) {
	var lines []byte
	for _, e := range batch {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		lines = append(append(lines, line...), '\n')
	}
	return lines, nil
}
