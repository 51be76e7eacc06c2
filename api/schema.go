package api

// BlockSchema is what a block of a file in HCL takes. It is made from the tables that the
// parser reads such a block by.
type BlockSchema struct {
	Name      string           `json:"name"`
	Kind      string           `json:"kind,omitempty"`  // the label that such a block has; "" for any
	Label     string           `json:"label,omitempty"` // what its label says; "" when it takes none
	Since     int              `json:"since,omitempty"` // the least cluster level that keeps it; 0: every one
	Doc       string           `json:"doc,omitempty"`
	Arguments []ArgumentSchema `json:"arguments"`
	Blocks    []BlockSchema    `json:"blocks"`
}

// ArgumentSchema is one argument of a block. Type is one of any, bool, number, string,
// list(T) and map(T). A duration is a string. Default, Min and Max are written as in HCL,
// without quotes around a duration.
type ArgumentSchema struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required,omitempty"`
	Default  string   `json:"default,omitempty"` // what it is when no file says it
	OneOf    []string `json:"one_of,omitempty"`
	Min      string   `json:"min,omitempty"`
	Max      string   `json:"max,omitempty"`
	Wants    string   `json:"wants,omitempty"` // its form in words, where it is no set and no range
	Since    int      `json:"since,omitempty"` // the least cluster level that keeps it; 0: every one
	Doc      string   `json:"doc,omitempty"`
}
