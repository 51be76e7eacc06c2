package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/notify"
)

// Notify is a receiver of notices, and of what it is told.
type Notify struct {
	Name   string
	Sender notify.Sender // never nil
	Filter notify.Filter
}

// notifiersMax bounds the blocks: each is a goroutine and a row of the state.
const notifiersMax = 32

type notifyBlock struct {
	Name       string         `hcl:"name,label"`
	URL        *hcl.Attribute `hcl:"url"`
	On         *hcl.Attribute `hcl:"on,optional"`
	Namespaces *hcl.Attribute `hcl:"namespaces,optional"`
	Range      hcl.Range      `hcl:",def_range"`
}

// notify reads a block. A later one with the same name takes its place.
func (l *loader) notify(b notifyBlock) {
	l.begins(b.Range)
	var address string
	var on []string
	next := Notify{Name: b.Name}
	l.str(b.URL, &address)
	l.strs(b.On, &on)
	l.strs(b.Namespaces, &next.Filter.Namespaces)
	path := "notify." + b.Name
	if b.Name == "" || len(b.Name) > 64 || strings.ContainsFunc(b.Name, func(r rune) bool { return r < '!' || r > '~' }) {
		l.problem(path, "want a name of 1 to 64 printable letters of ASCII, without blanks")
		return
	}
	for _, kind := range on {
		if !slices.Contains(api.NoticeKinds(), api.NoticeKind(kind)) {
			l.problem(path+".on", "want some of %s, not %q", joined(api.NoticeKinds()), kind)
		}
		next.Filter.On = append(next.Filter.On, api.NoticeKind(kind))
	}
	var err error
	if next.Sender, err = notify.NewSender(address); err != nil {
		l.problem(path+".url", "%s", api.AsError(err).Message)
		return
	}
	*named(&l.cfg.Notify, func(have Notify) bool { return have.Name == b.Name }, next) = next
	if len(l.cfg.Notify) > notifiersMax {
		l.problem(path, "want at most %d notify blocks", notifiersMax)
	}
}

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, t := range list {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}
