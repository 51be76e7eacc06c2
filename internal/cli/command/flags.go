package command

import "strings"

// List is a flag that may be given several times.
type List []string

// String joins the values.
func (l *List) String() string { return strings.Join(*l, ",") }

// Set appends one.
func (l *List) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// PluginFlag names plugins whose strategies an offline check shall know.
func (c *Command) PluginFlag() *[]string {
	var paths []string
	c.Flags.Var((*List)(&paths), "plugin",
		"`Path` of a strategy plugin whose strategy the files use. It is started. May be given several times.")
	return &paths
}
