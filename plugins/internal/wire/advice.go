package wire

import (
	"github.com/oakumhq/oakum/api"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
)

// FromAdvice is the message form of an advice.
func FromAdvice(a api.Advice) *v1.Advice {
	return &v1.Advice{
		Action:  fromAction(a.Action),
		Percent: int64(a.Percent),
		Mode:    fromMode(a.Mode),
		Reason:  a.Reason,
	}
}

// ToAdvice reads an advice message; an absent one is the zero advice, which no
// check accepts.
func ToAdvice(m *v1.Advice) api.Advice {
	return api.Advice{
		Action:  toAction(m.GetAction()),
		Percent: int(m.GetPercent()),
		Mode:    toMode(m.GetMode()),
		Reason:  m.GetReason(),
	}
}

// FromSchema is the message form of a configuration schema.
func FromSchema(s api.ConfigSchema) *v1.ConfigSchema {
	return &v1.ConfigSchema{Attributes: each(s.Attributes, func(a api.ConfigAttribute) *v1.ConfigAttribute {
		return &v1.ConfigAttribute{Name: a.Name, Type: a.Type, Required: a.Required, DefaultJson: a.Default, Doc: a.Doc}
	})}
}

// ToSchema reads a configuration schema.
func ToSchema(m *v1.ConfigSchema) api.ConfigSchema {
	return api.ConfigSchema{Attributes: each(m.GetAttributes(), func(a *v1.ConfigAttribute) api.ConfigAttribute {
		return api.ConfigAttribute{
			Name:     a.GetName(),
			Type:     a.GetType(),
			Required: a.GetRequired(),
			Default:  raw(a.GetDefaultJson()),
			Doc:      a.GetDoc(),
		}
	})}
}
