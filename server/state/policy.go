package state

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/oakumhq/oakum/server/state/versions"
)

// PolicyPut stores a policy file, in place of the one of that name.
type PolicyPut struct {
	Policy api.Policy `json:"policy"`
}

// Type is the command's number.
func (*PolicyPut) Type() Type { return TypePolicyPut }

func (*PolicyPut) level() int { return 1 }

// fit leaves the version out, which the state machine counts itself.
func (p *PolicyPut) fit(int) Command {
	if p.Policy.Version == 0 {
		return p
	}
	out := *p
	out.Policy.Version = 0
	return &out
}

func (p *PolicyPut) apply(c *change) error {
	policy := &p.Policy
	if err := named("policy", policy.Name); err != nil {
		return err
	}
	if policy.AppliedAt.IsZero() {
		policy.AppliedAt = c.at
	}
	if policy.AppliedBy == "" {
		policy.AppliedBy = c.by
	}
	policy.CreateIndex, policy.ModifyIndex = c.index, c.index
	old := c.t.policies.get(c.txn, policy.Name)
	if old != nil {
		policy.CreateIndex = old.CreateIndex
	}
	policy.Version = 0
	if c.old.Level >= levels.Eight {
		history, version := versions.Applied(c.t.histories.get(c.txn, policy.Name), old, policy)
		c.t.histories.put(c.txn, history)
		policy.Version = version
	}
	c.t.policies.put(c.txn, policy)
	c.event(api.TopicPolicy, "policy_applied", policy.Name, sentence("policy file %q was applied", policy.Name, policy.AppliedBy), nil)
	return nil
}

// PolicyDelete removes a policy file.
type PolicyDelete struct {
	Name string `json:"name"`
}

// Type is the command's number.
func (*PolicyDelete) Type() Type { return TypePolicyDelete }

func (*PolicyDelete) level() int { return 1 }

func (p *PolicyDelete) apply(c *change) error {
	old := c.t.policies.get(c.txn, p.Name)
	if old == nil {
		return api.Errorf(api.CodeNotFound, "policy %q does not exist", p.Name)
	}
	if old.Builtin {
		return api.Errorf(api.CodeConflict, "policy %q is built in and can't be deleted; a more specific policy overrules it", p.Name)
	}
	c.t.policies.remove(c.txn, p.Name)
	c.t.histories.remove(c.txn, p.Name)
	c.event(api.TopicPolicy, "policy_deleted", p.Name, sentence("policy file %q was deleted", p.Name, c.by), nil)
	return nil
}

// sentence formats what happened to a thing and who asked for it, if known.
func sentence(format, name, by string) string {
	text := fmt.Sprintf(format, name)
	if by != "" {
		text += " by " + by
	}
	return text
}
